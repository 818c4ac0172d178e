"""The files of a revision or of the index, in a temporary directory: no working tree is touched.

git's own checkout would run the filters that the repository's attributes and settings name. So the files are written
here, as git stores them. Each is created in a directory that is already open, where nothing was before, and links come
last: no file is written through one.
"""

from __future__ import annotations

import errno
import os
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

from envbuild.git.blobs import Blobs, BlobTooLarge
from envbuild.git.repository import Repository
from envbuild.git.tracked_files import LINK, SUBMODULE, BadTree, TrackedFile

MAX_BYTES = 8 << 30
"""Size of all files of a commit together."""
SECONDS = 900.0
_MAX_LINK = 4095
_FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_NEW = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC


@contextmanager
def checked_out(repository: Repository, commit: str | None) -> Iterator[str]:
    """Yield a directory with all files of a commit, or of the index if `commit` is None. A submodule is an empty
    directory.

    Raises BadTree, GitFailed, BlobTooLarge and NoBlob.
    """
    files = repository.tracked(commit)
    with tempfile.TemporaryDirectory(prefix="envbuild-git-") as folder:
        inner = os.path.join(folder, "files")
        os.mkdir(inner, 0o755)
        with Blobs(repository.root, SECONDS) as blobs, _Writer(inner) as writer:
            for file in sorted(files, key=lambda file: file.mode == LINK):
                writer.write(file, blobs)
        yield inner


class _Writer:
    """A writer of files below one directory, most of them beside the file before."""

    def __init__(self, folder: str) -> None:
        self._held = ExitStack()
        self._root = os.open(folder, _FOLDER)
        self._held.callback(os.close, self._root)
        self._parts: list[str] = []
        self._open: list[int] = []
        """The directories on the path of the last file, from the top."""
        self._left = MAX_BYTES

    def __enter__(self) -> _Writer:
        return self

    def __exit__(self, *_: object) -> None:
        self._close(0)
        self._held.close()

    def write(self, file: TrackedFile, blobs: Blobs) -> None:
        *folders, name = file.path.split("/")
        try:
            parent = self._folder(folders)
            if file.mode == SUBMODULE:
                os.mkdir(name, 0o755, dir_fd=parent)
            elif file.mode == LINK:
                target = blobs.read(file.oid, _MAX_LINK)
                if not target or b"\0" in target:
                    raise BadTree(f"the link '{file.path}' has no valid target")
                os.symlink(target, os.fsencode(name), dir_fd=parent)
            else:
                self._file(file, name, parent, blobs)
        except OSError as error:
            if error.errno in (errno.EEXIST, errno.ENOTDIR, errno.ELOOP):
                raise BadTree(f"it has '{file.path}' twice, as different kinds of file") from error
            raise

    def _file(self, file: TrackedFile, name: str, parent: int, blobs: Blobs) -> None:
        descriptor = os.open(name, _NEW, 0o600, dir_fd=parent)
        try:
            self._left -= blobs.copy(file.oid, descriptor, self._left)
            # Set whatever the umask is: modes are part of a step's key.
            os.fchmod(descriptor, 0o755 if file.mode & 0o100 else 0o644)
        except BlobTooLarge as error:
            raise BadTree(f"its files have more than {MAX_BYTES >> 30} GiB ('{file.path}')") from error
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
                pass  # an earlier file made it; if it is not a directory, it can't be opened
            self._open.append(os.open(part, _FOLDER, dir_fd=above))
            self._parts.append(part)
        return self._open[-1] if self._open else self._root

    def _close(self, keep: int) -> None:
        while len(self._open) > keep:
            os.close(self._open.pop())
            self._parts.pop()
