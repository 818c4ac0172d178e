"""A revision's files, or those of the index, in a folder that is thrown away: nobody's working tree is touched.

git's own check-out would run the filters that the repository's attributes and settings name. So the files are written
here, as they are kept. Each is made in a folder that is open already, where nothing was before, and links come last:
no file is written through one.
"""

from __future__ import annotations

import errno
import os
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

from envbuild.git.blobs import Blobs, BlobTooLarge
from envbuild.git.repository import Repository
from envbuild.git.tracked_files import LINK, SUBMODULE, BadTree, Listed

MOST_BYTES = 8 << 30
"""All files of a commit together."""
SECONDS = 900.0
_LONGEST_LINK = 4095
_FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_NEW = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC


@contextmanager
def checked_out(repository: Repository, commit: str | None) -> Iterator[str]:
    """A folder with all files of a commit, or of the index if `commit` is None; of submodules an empty folder.

    Raises BadTree, GitFailed, BlobTooLarge and NoBlob.
    """
    files = repository.tracked(commit)
    with tempfile.TemporaryDirectory(prefix="envbuild-git-") as folder:
        inner = os.path.join(folder, "files")
        os.mkdir(inner, 0o755)
        with Blobs(repository.root, SECONDS) as blobs, _Writer(inner) as writer:
            for one in files:
                if one.mode != LINK:
                    writer.write(one, blobs)
            for one in files:
                if one.mode == LINK:
                    writer.write(one, blobs)
        yield inner


class _Writer:
    """Writes files below one folder, most of them beside the one before."""

    def __init__(self, folder: str) -> None:
        self._held = ExitStack()
        self._root = os.open(folder, _FOLDER)
        self._held.callback(os.close, self._root)
        self._parts: list[str] = []
        self._open: list[int] = []
        """The folders on the way to the last file, from the top."""
        self._left = MOST_BYTES

    def __enter__(self) -> _Writer:
        return self

    def __exit__(self, *_: object) -> None:
        self._close(0)
        self._held.close()

    def write(self, one: Listed, blobs: Blobs) -> None:
        *folders, name = one.path.split("/")
        try:
            parent = self._folder(folders)
            if one.mode == SUBMODULE:
                os.mkdir(name, 0o755, dir_fd=parent)
            elif one.mode == LINK:
                target = blobs.read(one.oid, _LONGEST_LINK)
                if not target or b"\0" in target:
                    raise BadTree(f"the link '{one.path}' leads nowhere")
                os.symlink(target, os.fsencode(name), dir_fd=parent)
            else:
                self._file(one, name, parent, blobs)
        except OSError as error:
            if error.errno in (errno.EEXIST, errno.ENOTDIR, errno.ELOOP):
                raise BadTree(f"it has '{one.path}' as two things") from error
            raise

    def _file(self, one: Listed, name: str, parent: int, blobs: Blobs) -> None:
        descriptor = os.open(name, _NEW, 0o600, dir_fd=parent)
        try:
            self._left -= blobs.copy(one.oid, descriptor, self._left)
            # Whatever the umask: modes are a part of what a step is known by.
            os.fchmod(descriptor, 0o755 if one.mode & 0o100 else 0o644)
        except BlobTooLarge as error:
            raise BadTree(f"its files have more than {MOST_BYTES >> 30} GiB ('{one.path}')") from error
        finally:
            os.close(descriptor)

    def _folder(self, parts: list[str]) -> int:
        same = 0
        while same < min(len(parts), len(self._parts)) and parts[same] == self._parts[same]:
            same += 1
        self._close(same)
        for part in parts[same:]:
            above = self._open[-1] if self._open else self._root
            try:
                os.mkdir(part, 0o755, dir_fd=above)
            except FileExistsError:
                pass  # by a file before, or it is none: then it can't be opened
            self._open.append(os.open(part, _FOLDER, dir_fd=above))
            self._parts.append(part)
        return self._open[-1] if self._open else self._root

    def _close(self, keep: int) -> None:
        while len(self._open) > keep:
            os.close(self._open.pop())
            self._parts.pop()
