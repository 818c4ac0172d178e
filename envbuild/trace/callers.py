"""The processes that make the calls which a tracer is told of, as far as it has to look into them.

It reads paths in their memory, and asks for their working directories and roots.
"""

from __future__ import annotations

import os

from envbuild.trace.calls import AT_FDCWD, PathCall

TYPE_CHECKING = False
if TYPE_CHECKING:
    Arguments = tuple[int, ...]

SHORT, _LONG = 192, 4096
"""As many bytes are read of a path at first, and where it has no end in them."""
_MAX_OPEN = 64


class Untraceable(Exception):
    """Something that can't be followed; the text says what, to be read behind "the step"."""


class Callers:
    """The processes of one step, by the numbers that they have in `proc`, a /proc that is held open.

    What is kept of a process is good for as long as its memory is there: it goes when it executes another program, and
    with the process. Of those that share it less is kept.
    """

    def __init__(self, proc: int) -> None:
        self._proc = proc
        self.memory: dict[int, int] = {}
        """Descriptors of their memory."""
        self._directories: dict[int, bytes] = {}
        self.shared: set[int] = set()
        """Those with more than one thread."""
        self._any_threads = False
        self._all_shared = False
        self.changed_root = False
        """Whether any has another root than the tree's."""

    def close(self) -> None:
        """Close what is held open."""
        for descriptor in self.memory.values():
            os.close(descriptor)

    def text(self, pid: int, address: int) -> bytes:
        """Return the path at an address of a process; b"" where the kernel will not find one either."""
        if not address or address >> 63:
            return b""
        content = self.read(pid, address, SHORT)
        end = content.find(0)
        if end < 0:
            if len(content) == SHORT:
                content = self.read(pid, address, _LONG)
                end = content.find(0)
            if end < 0:
                if len(content) == _LONG:
                    return b""  # too long for any path
                raise Untraceable("names a path in memory that can't be read")
        return content[:end]

    def check(self, pid: int, address: int, named: bytes) -> None:
        """Raise Untraceable if the path at an address is not what it was."""
        if self.text(pid, address) != named:
            raise Untraceable("changes a path while it is used")

    def read(self, pid: int, address: int, size: int) -> bytes:
        """Return so many bytes of the memory of a process; fewer where no more are mapped. Raises OSError."""
        opened = self.memory.get(pid)
        if opened is not None:
            try:
                content = os.pread(opened, size, address)
                if content:
                    return content
            except OSError:
                pass
            # It executed another program since, or its number is another process's by now: what was its memory is gone.
            self.forget(pid)
        elif len(self.memory) >= _MAX_OPEN:
            self.forget_all()
        try:
            opened = os.open(b"%d/mem" % pid, os.O_RDONLY | os.O_CLOEXEC, dir_fd=self._proc)
        except (FileNotFoundError, ProcessLookupError):
            return b"\0"  # it was killed
        except PermissionError:
            raise Untraceable("runs a program that may not be read") from None
        self._directories.pop(pid, None)
        self.memory[pid] = opened
        if self._any_threads and (self._all_shared or self._has_threads(pid)):
            self.shared.add(pid)
        try:
            return os.pread(opened, size, address)
        except OSError:
            return b""

    def forget(self, pid: int) -> None:
        """Take note that a process may have another memory soon."""
        opened = self.memory.pop(pid, -1)
        if opened >= 0:
            os.close(opened)
        self._directories.pop(pid, None)
        self.shared.discard(pid)

    def share(self, pid: int, *, all_of_it: bool) -> None:
        """Take note that a process is about to have another thread; with `all_of_it` another process that shares
        something with it, and so can't be known by its number."""
        self._any_threads = True
        if all_of_it:
            self._all_shared = True
            self.shared.update(self.memory)
        self.shared.add(pid)

    def _has_threads(self, pid: int) -> bool:
        try:
            # A directory for each, with the two names of every directory (proc_pid_task(5)).
            return os.stat(b"%d/task" % pid, dir_fd=self._proc).st_nlink > 3
        except OSError:
            return True

    def place(self, pid: int, call: PathCall, arguments: Arguments, path: bytes) -> tuple[bytes, bytes]:
        """Return a path from the tree's root, and where the process has its own; b"" for what leads nowhere."""
        floor = self._floor(pid) if self.changed_root else b""
        if path[:1] == b"/":
            return floor + path, floor
        directory = arguments[call.directory] & 0xFFFFFFFF if call.directory >= 0 else AT_FDCWD
        if not path:
            # With AT_EMPTY_PATH it is about the descriptor, which was opened before, or the working directory.
            return (self.directory(pid) if directory == AT_FDCWD and call.directory >= 0 else b""), floor
        base = self.directory(pid) if directory == AT_FDCWD else self.link_of(pid, b"fd/%d" % directory)
        return (base + b"/" + path if base[:1] == b"/" else b""), floor

    def directory(self, pid: int) -> bytes:
        """Return the working directory of a process, from the tree's root."""
        if pid in self.shared:
            return self.link_of(pid, b"cwd")
        known = self._directories.get(pid)
        if known is None or pid not in self.memory:
            known = self._directories[pid] = self.link_of(pid, b"cwd")
        return known

    def _floor(self, pid: int) -> bytes:
        return self.link_of(pid, b"root").rstrip(b"/")

    def link_of(self, pid: int, name: bytes) -> bytes:
        """Return where a link in the /proc/PID of a process leads, from the tree's root."""
        try:
            return os.readlink(b"%d/%s" % (pid, name), dir_fd=self._proc)
        except (FileNotFoundError, ProcessLookupError):
            return b""  # it was killed, or has no such descriptor
        except OSError as error:
            raise Untraceable(f"runs something that can't be looked into: {error.strerror}") from error

    def forget_directory(self, pid: int) -> None:
        """Take note that the working directory of a process is about to change."""
        self._directories.pop(pid, None)

    def forget_all(self) -> None:
        """Take note that what is kept of processes may not be true any more."""
        for known in list(self.memory):
            self.forget(known)
        self._directories.clear()

    def open_root(self, pid: int) -> int:
        """Return a descriptor of the root of a process."""
        return os.open(b"%d/root" % pid, os.O_PATH | os.O_CLOEXEC, dir_fd=self._proc)
