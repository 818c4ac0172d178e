"""Opens paths that have no links in them, and notices if one was put in the way since they were resolved.

Each part is opened relative to the directory before it and never followed, so that nothing that is swapped while we
look can lead anywhere else.
"""

from __future__ import annotations

import errno
import os
import stat

from envbuild.contexts import contextmanager

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Self

_CHUNK = 1 << 20
_FOLDER = os.O_PATH | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC


def open_real(path: str, flags: int) -> int:
    """Return a descriptor of an absolute path without links or `..` in it. Raises OSError, ELOOP or ENOTDIR for a
    link."""
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
    """Return the bytes of a plain file at an absolute path without links or `..` in it, at most `most` of them.

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
    """Return the path with all links in it resolved, None if it then lies in none of the real directories."""
    real = os.path.realpath(path)
    for folder in folders:
        if real == folder or real.startswith(f"{folder.rstrip('/')}/"):
            return real
    return None


class RealFiles:
    """Opens many files, most of them in the directory of the one before. Use it as a context manager."""

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
        """Open as `open_real` does."""
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


class NotPlain(ValueError):
    """A text that is not one plain component of a path."""

    def __init__(self, text: str) -> None:
        super().__init__(f"{text[:100]!r} is not the name of a file in one directory")


class Component(str):
    """One plain component of a path: nothing that leads up, down or elsewhere. Raises NotPlain."""

    __slots__ = ()

    def __new__(cls, text: str) -> Self:
        try:
            encoded = text.encode("utf-8", "surrogateescape")
        except UnicodeEncodeError:  # JSON can hold halves of characters, which no name of a file is
            raise NotPlain(text) from None
        if text in ("", ".", "..") or "/" in text or "\0" in text or len(encoded) > MAX_COMPONENT:
            raise NotPlain(text)
        return super().__new__(cls, text)


MAX_COMPONENT = 255
"""Bytes (NAME_MAX, limits.h)."""


class TooMuch(ValueError):
    """A file is larger than who reads it allows."""

    def __init__(self, name: str, most: int) -> None:
        super().__init__(f"{name} is larger than {most} bytes")


class NotAFile(ValueError):
    """Something else lies where a file should be: a link, a directory, a FIFO, a socket, a device."""

    def __init__(self, name: str) -> None:
        super().__init__(f"{name} is not a plain file")


class Folder:
    """An open directory: what is read, made or linked in it is so by one component, and no link is ever followed, the
    last one neither. Use it as a context manager."""

    def __init__(self, path: str) -> None:
        self._held = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        os.close(self._held)

    def write(self, name: str, content: bytes, mode: int = 0o644) -> None:
        """Make a file that was not there. Raises NotPlain, and OSError (EEXIST, whatever lies there)."""
        descriptor = self.create(name)
        try:
            view = memoryview(content)
            while view:
                view = view[os.write(descriptor, view) :]
            # Not by open(2), which takes the process's umask away.
            os.fchmod(descriptor, mode)
        finally:
            os.close(descriptor)

    def replace(self, name: str, content: bytes, mode: int = 0o644) -> None:
        """Write a file as a whole, in the place of a file or a link that may have the name. Raises NotPlain and
        OSError."""
        temporary = f".{Component(name)[:200]}.{os.urandom(6).hex()}"
        try:
            self.write(temporary, content, mode)
            os.rename(temporary, name, src_dir_fd=self._held, dst_dir_fd=self._held)
        except BaseException:
            self.remove(temporary)
            raise

    def link_target(self, name: str) -> str | None:
        """Return where a symbolic link leads, None if there is none of this name. Raises NotPlain."""
        try:
            return os.readlink(Component(name), dir_fd=self._held)
        except OSError:
            return None

    def create(self, name: str) -> int:
        """Return a descriptor of a file that was not there, to be written. Raises as `write`."""
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
        return os.open(Component(name), flags, 0o600, dir_fd=self._held)

    def link(self, source: str, name: str) -> None:
        """Give the file at `source`, which is not followed, one more name here. Raises as `write`."""
        os.link(source, Component(name), dst_dir_fd=self._held, follow_symlinks=False)

    def names(self) -> list[str]:
        """Return the names of what lies in it. Raises OSError."""
        return os.listdir(self._held)

    def remove(self, name: str) -> None:
        """Take away a file or a link; nothing happens if nothing is there. Raises NotPlain and OSError."""
        try:
            os.unlink(Component(name), dir_fd=self._held)
        except FileNotFoundError:
            pass

    @contextmanager
    def below(self, path: str) -> Iterator[tuple[Folder, str]]:
        """Yield the directory that a relative path leads to, whose directories are made where they are missing, and the
        path's last component. Raises NotPlain, and OSError for a link on the way."""
        *folders, name = path.split("/")
        way = [self]
        try:
            for folder in folders:
                way.append(way[-1].folder(folder))
            yield way[-1], name
        finally:
            for passed in reversed(way[1:]):
                os.close(passed._held)

    def symlink(self, target: bytes, name: str) -> None:
        """Make a symbolic link. Raises as `write`."""
        os.symlink(target, os.fsencode(Component(name)), dir_fd=self._held)

    def folder(self, name: str, mode: int = 0o755) -> Folder:
        """Return the directory of this name in here, made if nothing is there. Raises NotPlain, and OSError for a
        link."""
        try:
            os.mkdir(Component(name), dir_fd=self._held)
        except FileExistsError:
            return self.inner(name)
        made = self.inner(name)
        os.fchmod(made._held, mode)
        return made

    def inner(self, name: str) -> Folder:
        """Return the directory of this name, which is there. Raises NotPlain, and OSError for anything else."""
        folder = Folder.__new__(Folder)
        flags = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
        folder._held = os.open(Component(name), flags, dir_fd=self._held)
        return folder

    def read(self, name: str, most: int) -> bytes:
        """Return the content of a plain file. Raises FileNotFoundError, NotAFile, TooMuch and NotPlain; never waits."""
        # O_NONBLOCK: a FIFO must not wait for a writer.
        flags = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC
        try:
            descriptor = os.open(Component(name), flags, dir_fd=self._held)
        except OSError as error:
            if error.errno in (errno.ELOOP, errno.ENXIO, errno.ENODEV):
                raise NotAFile(name) from error
            raise
        try:
            if not stat.S_ISREG(os.fstat(descriptor).st_mode):
                raise NotAFile(name)
            pieces = []
            left = most + 1
            while left and (piece := os.read(descriptor, min(left, 1 << 20))):
                pieces.append(piece)
                left -= len(piece)
            if not left:
                raise TooMuch(name, most)
            return b"".join(pieces)
        finally:
            os.close(descriptor)
