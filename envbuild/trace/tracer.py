"""Follows what a command and all that it starts ask of their tree, by seccomp user notification (seccomp_unotify(2)).

The kernel stops whoever makes one of the calls of calls.py and tells this process, which reads the path out of the
caller's memory, notes it and lets the call go on. It runs outside of the namespaces that it looks into, with root's
rights over them. A call costs about ten microseconds, so what is done for each of them is little and written for speed.
"""

from __future__ import annotations

import fcntl
import gc
import os
import select
import struct

from envbuild.linux import syscalls
from envbuild.trace import calls
from envbuild.trace.calls import ACTIONS, AT_FDCWD, NUMBERS, PathCall
from envbuild.trace.observed import FOLLOW, LINKED, MAX_BYTES, MAX_EVENTS, MOVED, Event, Observed
from envbuild.trace.programs import interpreter_of
from envbuild.trace.reads import CONTENT, LISTING, RIGHTS

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    Arguments = tuple[int, ...]
    Key = tuple[int, int, bytes, bytes]
    """The number of a call or a mark, its flags or an action, where the process has its root, and the path; of marks
    that have two, these with a NUL between."""

_RECEIVE, _SEND, _SET_FLAGS = 0xC0502100, 0xC0182101, 0x40082104
_CONTINUE, _SYNC_WAKE_UP = 1, 1
_NOTIFICATION = struct.Struct("=QIIiIQ6Q")
"""struct seccomp_notif: id, pid, flags, then struct seccomp_data: number, architecture, instruction, arguments."""
_ANSWER = struct.Struct("=QqiI")
_ID = struct.Struct("=Q")
_FIRST_ARGUMENT = 6
_SHORT, _LONG = 192, 4096
_MAX_OPEN = 256
_MAX_INTERPRETERS = 5
"""As many interpreters of interpreters the kernel runs (execve(2))."""
_AF_UNIX = 1
_ACTION, _MOVE, _LINK = 1 << 32, 2 << 32, 3 << 32
"""Marks of keys that do not stand for a call with one path; above all numbers of calls."""


class Untraceable(Exception):
    """Something that can't be followed; the text says what, to be read behind "the step"."""


class Tracer:
    """One step's. `listener` is that of its filter, `proc` a /proc in which the processes have the numbers that this
    process knows them by."""

    def __init__(self, listener: int, proc: int) -> None:
        self._listener = listener
        self._proc = proc
        self._root = -1
        self._waits_blocking = _make_synchronous(listener)
        self._reason = ""
        self._events: dict[Key, None] = {}
        self._bytes = 0
        self._memory: dict[int, int] = {}
        self._directories: dict[int, bytes] = {}
        self._threads = False
        self._changed_root = False
        self._executed: dict[bytes, tuple[int, ...]] = {}
        numbers = NUMBERS[os.uname().machine]
        self._paths = {numbers[name]: call for name, call in calls.PATH_CALLS.items() if name in numbers}
        self._special = self._special_calls(numbers)
        self._names = {number: name for name, number in numbers.items()}

    def _special_calls(self, numbers: dict[str, int]) -> dict[int, Callable[[int, int, Arguments], None]]:
        by_name: dict[str, Callable[[int, int, Arguments], None]] = {
            **dict.fromkeys(calls.PAIR_CALLS, self._pair),
            **dict.fromkeys(calls.LINK_CALLS, self._link),
            **dict.fromkeys(calls.EXECUTE_CALLS, self._execute),
            **dict.fromkeys(calls.SOCKET_CALLS, self._socket),
            "chdir": self._change_directory,
            "fchdir": self._forget_directory,
            "chroot": self._change_root,
            "openat2": self._open_how,
            "ptrace": self._controls_another,
            "process_vm_writev": self._controls_another,
        }
        special = {numbers[name]: take for name, take in by_name.items() if name in numbers}
        return {**special, calls.CLONE[os.uname().machine]: self._thread}

    def run(self) -> Observed:
        """Follow until nothing of the step is left; return what was seen."""
        gc.disable()
        try:
            self._follow()
        finally:
            gc.enable()
            for descriptor in (*self._memory.values(), self._root):
                if descriptor >= 0:
                    os.close(descriptor)
        return Observed(tuple(self._seen()), self._reason)

    def _follow(self) -> None:
        listener, ioctl, unpack = self._listener, fcntl.ioctl, _NOTIFICATION.unpack
        paths, special, events = self._paths, self._special, self._events
        empty = bytes(_NOTIFICATION.size)
        notification = bytearray(empty)
        answer = bytearray(_ANSWER.pack(0, 0, 0, _CONTINUE))
        put_id, text, place = _ID.pack_into, self._text, self._place
        poller = select.poll()
        poller.register(listener, select.POLLIN)
        while True:
            if not self._waits_blocking and poller.poll()[0][1] & select.POLLHUP:
                return
            notification[:] = empty
            try:
                ioctl(listener, _RECEIVE, notification)
            except FileNotFoundError:
                # Nobody is left, or who asked was interrupted meanwhile and asks again.
                if any(happened & select.POLLHUP for _, happened in poller.poll(0)):
                    return
                continue
            except InterruptedError:
                continue
            words = unpack(notification)
            number = words[3]
            call = paths.get(number)
            try:
                if call is not None:
                    path = text(words[1], words[_FIRST_ARGUMENT + call.path])
                    floor = b""
                    if path[:1] != b"/" or self._changed_root:
                        path, floor = place(words[1], call, words[_FIRST_ARGUMENT:], path)
                    key = (number, words[_FIRST_ARGUMENT + call.flags] & call.mask, floor, path)
                    if key not in events and path:
                        self._note(key)
                else:
                    special[number](number, words[1], words[_FIRST_ARGUMENT:])
            except Untraceable as reason:
                self._reason = self._reason or str(reason)
            put_id(answer, 0, words[0])
            try:
                ioctl(listener, _SEND, answer)
            except FileNotFoundError:
                pass  # it is gone, or was interrupted and asks again
            except OSError as error:
                self._reason = self._reason or f"could not be answered: {error.strerror}"

    # What is read of whoever makes a call.

    def _text(self, pid: int, address: int) -> bytes:
        """Return the path at an address of a process; b"" where the kernel will not find one either."""
        if not address or address >> 63:
            return b""
        content = self._read(pid, address, _SHORT)
        end = content.find(0)
        if end < 0:
            if len(content) == _SHORT:
                content = self._read(pid, address, _LONG)
                end = content.find(0)
            if end < 0:
                if len(content) == _LONG:
                    return b""  # too long for any path
                raise Untraceable("names a path in memory that can't be read")
        return content[:end]

    def _read(self, pid: int, address: int, size: int) -> bytes:
        opened = self._memory.get(pid)
        if opened is not None:
            try:
                content = os.pread(opened, size, address)
                if content:
                    return content
            except OSError:
                pass
            # It executed another program since, or its number is another process's by now: what was its memory is gone.
            self._forget(pid)
        elif len(self._memory) >= _MAX_OPEN:
            for known in list(self._memory):
                self._forget(known)
        try:
            opened = os.open(b"%d/mem" % pid, os.O_RDONLY | os.O_CLOEXEC, dir_fd=self._proc)
        except (FileNotFoundError, ProcessLookupError):
            return b"\0"  # it was killed
        except PermissionError:
            raise Untraceable("runs a program that may not be read") from None
        self._memory[pid] = opened
        try:
            return os.pread(opened, size, address)
        except OSError:
            return b""

    def _forget(self, pid: int) -> None:
        opened = self._memory.pop(pid, -1)
        if opened >= 0:
            os.close(opened)
        self._directories.pop(pid, None)

    def _place(self, pid: int, call: PathCall, arguments: Arguments, path: bytes) -> tuple[bytes, bytes]:
        """Return a path from the tree's root, and where the process has its own; b"" for what leads nowhere."""
        floor = self._floor(pid) if self._changed_root else b""
        if path[:1] == b"/":
            return floor + path, floor
        directory = arguments[call.directory] & 0xFFFFFFFF if call.directory >= 0 else AT_FDCWD
        if not path:
            # With AT_EMPTY_PATH it is about the descriptor, which was opened before, or the working directory.
            return (self._directory(pid) if directory == AT_FDCWD and call.directory >= 0 else b""), floor
        base = self._directory(pid) if directory == AT_FDCWD else self._link_of(pid, b"fd/%d" % directory)
        return (base + b"/" + path if base[:1] == b"/" else b""), floor

    def _directory(self, pid: int) -> bytes:
        if self._threads:
            return self._link_of(pid, b"cwd")
        known = self._directories.get(pid)
        if known is None or pid not in self._memory:
            known = self._directories[pid] = self._link_of(pid, b"cwd")
        return known

    def _floor(self, pid: int) -> bytes:
        return self._link_of(pid, b"root").rstrip(b"/")

    def _link_of(self, pid: int, name: bytes) -> bytes:
        try:
            return os.readlink(b"%d/%s" % (pid, name), dir_fd=self._proc)
        except (FileNotFoundError, ProcessLookupError):
            return b""  # it was killed, or has no such descriptor
        except OSError as error:
            raise Untraceable(f"runs something that can't be looked into: {error.strerror}") from error

    # What is noted.

    def _note(self, key: Key) -> None:
        events = self._events
        if key in events:
            return
        self._bytes += len(key[2]) + len(key[3])
        if len(events) >= MAX_EVENTS or self._bytes > MAX_BYTES:
            raise Untraceable(f"asks for more than {MAX_EVENTS:,} paths")
        events[key] = None

    def _seen(self) -> list[Event]:
        seen = []
        for number, flags, floor, path in self._events:
            if number < _ACTION:
                seen.append(Event(ACTIONS[self._names[number]](flags), floor, path))
            elif number == _ACTION:
                seen.append(Event(flags, floor, path))
            else:
                first, _, second = path.partition(b"\0")
                seen.append(Event(MOVED if number == _MOVE else LINKED, floor, first, second))
        return seen

    def _argument(self, pid: int, call: PathCall, arguments: Arguments) -> tuple[bytes, bytes]:
        path = self._text(pid, arguments[call.path])
        return self._place(pid, call, arguments, path) if path else (b"", b"")

    def _pair(self, number: int, pid: int, arguments: Arguments) -> None:
        name = self._names[number]
        call = calls.PAIR_CALLS[name]
        old, floor = self._argument(pid, call.old, arguments)
        new, _ = self._argument(pid, call.new, arguments)
        exchanges = name == "renameat2" and arguments[4] & calls.RENAME_EXCHANGE
        if old:
            followed = FOLLOW if call.old.flags >= 0 and arguments[call.old.flags] & call.old.mask else 0
            self._note((_ACTION, RIGHTS | CONTENT | followed, floor, old))
        if new:
            replaced = CONTENT if exchanges else LISTING if name.startswith("rename") else 0
            self._note((_ACTION, RIGHTS | replaced, floor, new))
        if old and new:
            self._note((_MOVE, 0, floor, old + b"\0" + new))
            if exchanges:
                self._note((_MOVE, 0, floor, new + b"\0" + old))

    def _link(self, number: int, pid: int, arguments: Arguments) -> None:
        path, floor = self._argument(pid, calls.LINK_CALLS[self._names[number]], arguments)
        target = self._text(pid, arguments[0])
        if path and target:
            self._note((_ACTION, RIGHTS, floor, path))
            self._note((_LINK, 0, floor, path + b"\0" + target))

    def _execute(self, number: int, pid: int, arguments: Arguments) -> None:
        call = calls.EXECUTE_CALLS[self._names[number]]
        path, floor = self._argument(pid, call, arguments)
        if not path and number == NUMBERS[os.uname().machine]["execveat"]:
            base = self._link_of(pid, b"fd/%d" % (arguments[0] & 0xFFFFFFFF))
            path = base if base[:1] == b"/" else b"/memory"
        # From now on its memory may be another.
        self._forget(pid)
        follow = 0 if call.flags >= 0 and arguments[call.flags] & call.mask else FOLLOW
        for _ in range(_MAX_INTERPRETERS):
            if not path:
                return
            self._note((_ACTION, CONTENT | follow, floor, path))
            path = self._interpreter(pid, floor, path)
            follow = FOLLOW

    def _interpreter(self, pid: int, floor: bytes, path: bytes) -> bytes:
        """Return the program that the kernel reads to run another, b"" for none."""
        if path.startswith((b"/proc/", b"/dev/", b"/memory")):
            if path.endswith((b"/self/exe", b"/thread-self/exe")):
                return b""
            raise Untraceable("executes a program by its descriptor")
        if floor:
            raise Untraceable("executes programs below a root of its own")
        if self._root < 0:
            self._root = os.open(b"%d/root" % pid, os.O_PATH | os.O_CLOEXEC, dir_fd=self._proc)
        interpreter = interpreter_of(self._root, path, self._executed)
        if not interpreter or interpreter.startswith(b"/"):
            return interpreter
        return self._directory(pid) + b"/" + interpreter

    def _socket(self, number: int, pid: int, arguments: Arguments) -> None:
        place = calls.SOCKET_CALLS[self._names[number]]
        if not arguments[place]:
            return
        size = min(arguments[place + 1] & 0xFFFFFFFF, 110)
        address = self._read(pid, arguments[place], size)
        if len(address) > 3 and int.from_bytes(address[:2], "little") == _AF_UNIX and address[2]:
            path = address[2:].partition(b"\0")[0]
            path, floor = self._place(pid, PathCall(0), arguments, path)
            if path:
                self._note((_ACTION, RIGHTS | FOLLOW, floor, path))

    def _change_directory(self, number: int, pid: int, arguments: Arguments) -> None:
        path, floor = self._argument(pid, PathCall(0), arguments)
        if path:
            self._note((_ACTION, RIGHTS | FOLLOW, floor, path))
        self._directories.pop(pid, None)

    def _forget_directory(self, number: int, pid: int, arguments: Arguments) -> None:
        self._directories.pop(pid, None)

    def _change_root(self, number: int, pid: int, arguments: Arguments) -> None:
        self._change_directory(number, pid, arguments)
        self._changed_root = True

    def _open_how(self, number: int, pid: int, arguments: Arguments) -> None:
        how = self._read(pid, arguments[2], 24)
        path, floor = self._argument(pid, PathCall(1, 0), arguments)
        if len(how) < 24 or not path:
            return
        flags, _, resolve = struct.unpack("=3Q", how)
        if resolve & syscalls.RESOLVE_IN_ROOT:
            raise Untraceable("opens paths below a root of its own")
        self._note((_ACTION, calls.opening(flags), floor, path))

    def _thread(self, number: int, pid: int, arguments: Arguments) -> None:
        if not self._threads:
            self._threads = True
            for known in list(self._memory):
                self._forget(known)
            self._directories.clear()

    def _controls_another(self, number: int, pid: int, arguments: Arguments) -> None:
        raise Untraceable("changes other processes while they run")


def _make_synchronous(listener: int) -> bool:
    """Have the kernel go straight from who asks to who answers and back (Linux 6.6); tell whether it ends the waiting
    when nobody is left (Linux 6.11)."""
    try:
        fcntl.ioctl(listener, _SET_FLAGS, _SYNC_WAKE_UP)
    except OSError:
        return False
    release = os.uname().release.split(".")
    try:
        return (int(release[0]), int(release[1])) >= (6, 11)
    except (ValueError, IndexError):
        return False
