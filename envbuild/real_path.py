"""Opens paths that have no links in them, and notices if one was put in the way since they were resolved.

Each part is opened relative to the folder before it and never followed, so that nothing that is swapped while we
look can lead anywhere else.
"""

from __future__ import annotations

import errno
import os
import stat

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Self

_CHUNK = 1 << 20
_FOLDER = os.O_PATH | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC


def open_real(path: str, flags: int) -> int:
    """A descriptor of an absolute path without links or `..` in it. Raises OSError, ELOOP or ENOTDIR for a link."""
    parent, name = os.path.split(path)
    folder = _open_folder(parent)
    try:
        opened = os.open(name or ".", flags | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=folder)
    finally:
        os.close(folder)
    # With O_PATH a link itself is opened, and whoever uses the descriptor's path would follow it.
    if flags & os.O_PATH and stat.S_ISLNK(os.fstat(opened).st_mode):
        os.close(opened)
        raise OSError(errno.ELOOP, os.strerror(errno.ELOOP), path)
    return opened


def read_plain(path: str, most: int) -> bytes:
    """The bytes of a plain file at an absolute path without links or `..` in it, at most `most` of them.

    Raises OSError, whose `strerror` says it where the path is something else, which is not waited for, or larger.
    """
    # Without O_NONBLOCK opening a FIFO waits for who writes to it.
    descriptor = open_real(path, os.O_RDONLY | os.O_NONBLOCK | os.O_NOCTTY)
    try:
        status = os.fstat(descriptor)
        if stat.S_ISDIR(status.st_mode):
            raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), path)
        if not stat.S_ISREG(status.st_mode):
            raise OSError(errno.EINVAL, "not a plain file", path)
        parts, left = [], most + 1
        # Files of /proc and files that grow have other sizes than they say.
        while left and (chunk := os.read(descriptor, min(left, _CHUNK))):
            parts.append(chunk)
            left -= len(chunk)
        if not left:
            raise OSError(errno.EFBIG, f"larger than {most} bytes", path)
        return b"".join(parts)
    finally:
        os.close(descriptor)


def inside(path: str, *folders: str) -> str | None:
    """The path with all links in it resolved, None if it then lies in none of the real folders."""
    real = os.path.realpath(path)
    for folder in folders:
        if real == folder or real.startswith(f"{folder.rstrip('/')}/"):
            return real
    return None


class RealFiles:
    """Opens many files, most of them in the folder of the one before. Use it as a context manager."""

    def __init__(self) -> None:
        self._parent = ""
        self._folder = -1

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        if self._folder >= 0:
            os.close(self._folder)
            self._folder = -1

    def open(self, path: str, flags: int) -> int:
        """As `open_real`."""
        parent, name = os.path.split(path)
        if parent != self._parent or self._folder < 0:
            folder = _open_folder(parent)
            self.__exit__()
            self._parent, self._folder = parent, folder
        return os.open(name, flags | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=self._folder)


def _open_folder(path: str) -> int:
    folder = os.open("/", _FOLDER)
    for part in path.split("/"):
        if part:
            try:
                inner = os.open(part, _FOLDER, dir_fd=folder)
            finally:
                os.close(folder)
            folder = inner
    return folder
