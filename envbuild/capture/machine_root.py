"""The root that is captured: an open directory. Whatever is opened below it lies inside of it, wherever links lead."""

from __future__ import annotations

import errno
import os
import stat
from typing import Self

from envbuild.errors import UsageError, fields
from envbuild.linux.syscalls import RESOLVE_IN_ROOT, RESOLVE_NO_MAGICLINKS, RESOLVE_NO_SYMLINKS, openat2

MAX_READ = 64 << 20
"""Bytes of a file of the machine that is read whole, such as a package manager's database."""
_MOUNTS = "/proc/self/mountinfo"
_SWAPS = "/proc/swaps"
_CHUNK = 1 << 20


@fields
class NoSuchRoot(UsageError):
    """What is to be captured is no directory that can be opened."""

    path: str
    reason: str

    def text(self) -> tuple[str, str]:
        return f"{self.path} can't be captured: {self.reason}", "name a directory: --root DIR"


class MachineRoot:
    """The root directory of a machine, or of another system's files that lie at `path`. Use it as a context manager.

    Paths are absolute, as the system calls them. Links are followed as if the root were `/`, so that no link, whoever
    put it there, leads out of it; links of /proc lead nowhere.
    """

    def __init__(self, path: str = "/") -> None:
        self.path = os.path.realpath(path)
        try:
            self.descriptor = os.open(self.path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        except OSError as error:
            raise NoSuchRoot(path, str(error.strerror)) from error

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        os.close(self.descriptor)

    @property
    def is_this_machine(self) -> bool:
        """Whether it is the root that this process has, too: what the kernel says of the machine is true of it."""
        return self.path == "/"

    def open(self, path: str, flags: int = os.O_RDONLY, *, follow: bool = True) -> int:
        """Return a descriptor of what is at a path. It never waits for a FIFO's writer. Without `follow`, a link
        anywhere in the path is an error: what lies where ordinary users may write is opened so, or a link of theirs
        would have root record what they may not read. Raises OSError."""
        if not flags & os.O_PATH:  # with which openat2(2) refuses any other
            flags |= os.O_NONBLOCK | os.O_NOCTTY
        resolve = RESOLVE_IN_ROOT | (RESOLVE_NO_MAGICLINKS if follow else RESOLVE_NO_SYMLINKS)
        return openat2(self.descriptor, path, flags, resolve)

    def read(self, path: str, most: int = MAX_READ, *, follow: bool = True) -> bytes | None:
        """Return the bytes of a plain file, None if there is none, it may not be read, or it is larger than `most`."""
        try:
            descriptor = self.open(path, follow=follow)
        except OSError:
            return None
        try:
            if not stat.S_ISREG(os.fstat(descriptor).st_mode):
                return None
            parts, left = [], most + 1
            while left and (chunk := os.read(descriptor, min(left, _CHUNK))):
                parts.append(chunk)
                left -= len(chunk)
            return b"".join(parts) if left else None
        except OSError:
            return None
        finally:
            os.close(descriptor)

    def read_text(self, path: str, most: int = MAX_READ, *, follow: bool = True) -> str | None:
        """Return the text of a plain file, as `read` its bytes; bytes that are not UTF-8 are kept as surrogates."""
        content = self.read(path, most, follow=follow)
        return None if content is None else content.decode("utf-8", "surrogateescape")

    def names(self, path: str) -> list[str]:
        """Return the names in a directory, sorted; none if there is no such directory or it may not be read."""
        try:
            descriptor = self.open(path, os.O_RDONLY | os.O_DIRECTORY)
        except OSError:
            return []
        try:
            return sorted(os.listdir(descriptor))
        except OSError:
            return []
        finally:
            os.close(descriptor)

    def status(self, path: str, *, follow: bool = True) -> os.stat_result | None:
        """Return what lies at a path, None if nothing does. Without `follow`, of a link itself."""
        try:
            descriptor = self.open(path, os.O_PATH | (0 if follow else os.O_NOFOLLOW))
        except OSError:
            return None
        try:
            return os.fstat(descriptor)
        finally:
            os.close(descriptor)

    def link(self, path: str) -> str | None:
        """Return where the link at a path leads, None if there is no link."""
        try:
            descriptor = self.open(path, os.O_PATH | os.O_NOFOLLOW)
        except OSError:
            return None
        try:
            return os.readlink("", dir_fd=descriptor)
        except OSError as error:
            if error.errno not in (errno.EINVAL, errno.ENOENT):
                raise
            return None
        finally:
            os.close(descriptor)

    def files_at_most(self) -> int:
        """Return how many files its file system has, which may be more than the root has."""
        status = os.fstatvfs(self.descriptor)
        return status.f_files - status.f_ffree

    def swap_files(self) -> list[str]:
        """Return the files that the kernel swaps to, as paths relative to the root; none but of this machine."""
        if not self.is_this_machine:
            return []
        try:
            with open(_SWAPS, "rb") as file:
                paths = [_unescaped(line.split()[0]) for line in file.read().splitlines()[1:]]
        except OSError:
            return []  # a kernel without swap has no such file
        return [os.fsdecode(path[1:]) for path in paths if path.startswith(b"/")]

    def mount_points(self) -> frozenset[bytes]:
        """Return where other file systems are mounted below the root, as paths relative to it."""
        above = b"" if self.path == "/" else os.fsencode(self.path)
        points = set()
        with open(_MOUNTS, "rb") as file:
            for line in file:
                point = _unescaped(line.split()[4])
                if point.startswith(above + b"/") and point != b"/":
                    points.add(point[len(above) + 1 :])
        return frozenset(points)


def _unescaped(text: bytes) -> bytes:
    """Return a path of mountinfo as it is: there a backslash and three octal digits stand for a byte (proc(5))."""
    first, *others = text.split(b"\\")
    return first + b"".join(bytes([int(part[:3], 8)]) + part[3:] for part in others)
