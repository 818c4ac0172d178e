"""Writes an image's files as a file system that the kernel mounts: squashfs and erofs, made by their own tools from the
plain archive of the files. The same image gives the same bytes with one version of the tool."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
import uuid
from typing import BinaryIO, cast

from envbuild.errors import MachineLacks, WorkFailed, fields
from envbuild.images.find import facts_of
from envbuild.sharing.export import write_tar
from envbuild.store.images import Image
from envbuild.store.store import Store
from envbuild.tree.entry import Entry
from envbuild.tree.lookup import root_entry, walk

SQUASHFS, EROFS = "squashfs", "erofs"
_PROGRAMS = {SQUASHFS: "sqfstar", EROFS: "mkfs.erofs"}
_PACKAGES = {SQUASHFS: "squashfs-tools", EROFS: "erofs-utils"}
_SEARCH = "/usr/sbin:/usr/bin:/sbin:/bin:/usr/local/sbin:/usr/local/bin"
_MAX_WORDS = 2000
_SECOND = 1_000_000_000


@fields
class NoTool(MachineLacks):
    """The tool that makes a file system is not installed, or too old."""

    form: str
    package: str
    reason: str

    def text(self) -> tuple[str, str]:
        return f"{self.form}: {self.reason}", f"apt-get install {self.package}"


@fields
class ToolFailed(WorkFailed):
    """The tool that makes a file system failed, in its own words."""

    program: str
    words: str

    def text(self) -> tuple[str, str]:
        return f"{self.program} failed: {self.words}", ""


def write_disk_image(store: Store, image: Image, form: str, path: str, threads: int) -> None:
    """Write a file system to `path`, which does not exist yet. Raises NoTool, ToolFailed and StoreDamaged."""
    program = shutil.which(_PROGRAMS[form], path=_SEARCH)
    if program is None:
        raise NoTool(form, _PACKAGES[form], f"{_PROGRAMS[form]} is not installed")
    environment = {"PATH": _SEARCH, "LC_ALL": "C"}
    if form == SQUASHFS:
        # sqfstar 4.5 gives the root directory the time of now, unless that is later than this.
        environment["SOURCE_DATE_EPOCH"] = str(_newest(store, image))
        words = [program, "-quiet", "-no-progress", "-processors", str(threads)]
        words += [*_of_root(root_entry(store.trees, image.tree)), path]
    else:
        _check_erofs(program)
        identity = str(uuid.UUID(image.digest[:32]))
        epoch = str(facts_of(image).epoch)
        words = [program, "--quiet", "--tar=f", "-T", epoch, "--mkfs-time", "-U", identity, path, "/dev/stdin"]
    with tempfile.TemporaryFile() as said:
        with subprocess.Popen(words, stdin=subprocess.PIPE, stdout=said, stderr=said, env=environment) as tool:
            assert tool.stdin is not None
            try:
                with tool.stdin as file:
                    write_tar(store, image, cast(BinaryIO, file))
            except BrokenPipeError:
                pass  # it says why below
            except BaseException:
                tool.kill()
                raise
        said.seek(0)
        output = said.read(_MAX_WORDS).decode("utf-8", "replace")
    if tool.returncode != 0 or not os.path.exists(path):
        raise ToolFailed(_PROGRAMS[form], output.strip() or f"exit {tool.returncode}")


def _of_root(root: Entry) -> list[str]:
    """Return the options for the attributes of the root directory, which sqfstar doesn't take from an archive."""
    options = {"mode": f"{root.mode:o}", "uid": root.uid, "gid": root.gid, "time": max(0, root.mtime // _SECOND)}
    return [word for name, value in options.items() for word in (f"-root-{name}", str(value))]


def _check_erofs(program: str) -> None:
    done = subprocess.run([program, "--help"], capture_output=True, check=False, timeout=60)
    if b"--tar" not in done.stdout + done.stderr or b"--mkfs-time" not in done.stdout + done.stderr:
        raise NoTool(EROFS, f"{_PACKAGES[EROFS]}  (1.7 or later)", "this mkfs.erofs reads no archives")


def _newest(store: Store, image: Image) -> int:
    """Return the time of an image's latest file, in seconds."""
    return max((entry.mtime for _, entry in walk(store.trees, image.tree)), default=0) // _SECOND
