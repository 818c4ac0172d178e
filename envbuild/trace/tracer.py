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
from envbuild.trace.callers import SHORT, Callers, Untraceable
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

_RECEIVE, _SEND, _IS_VALID, _SET_FLAGS = 0xC0502100, 0xC0182101, 0x40082102, 0x40082104
_CONTINUE, _SYNC_WAKE_UP = 1, 1
_NOTIFICATION = struct.Struct("=QIIiIQ6Q")
"""struct seccomp_notif: id, pid, flags, then struct seccomp_data: number, architecture, instruction, arguments."""
_ANSWER = struct.Struct("=QqiI")
_ID = struct.Struct("=Q")
_FIRST_ARGUMENT = 6
_MAX_INTERPRETERS = 5
"""As many interpreters of interpreters the kernel runs (execve(2))."""
_AF_UNIX, _SOCKET_ADDRESS = 1, 110
"""The family, and how long an address of it is (unix(7))."""
_ACTION, _MOVE, _LINK = 1 << 32, 2 << 32, 3 << 32
"""Marks of keys that do not stand for a call with one path; above all numbers of calls."""


class Tracer:
    """One step's. `listener` is that of its filter, `proc` a /proc in which the processes have the numbers that this
    process knows them by."""

    def __init__(self, listener: int, proc: int) -> None:
        self._listener = listener
        self._callers = Callers(proc)
        self._root = -1
        self._waits_blocking = _make_synchronous(listener)
        self._reason = ""
        self._events: dict[Key, None] = {}
        self._bytes = 0
        self._executed: dict[bytes, tuple[int, ...]] = {}
        numbers = NUMBERS[os.uname().machine]
        self._paths = {
            numbers[name]: (
                _FIRST_ARGUMENT + call.path,
                _FIRST_ARGUMENT + call.flags,
                call.mask,
                _FIRST_ARGUMENT + call.directory,
                call,
            )
            for name, call in calls.PATH_CALLS.items()
            if name in numbers
        }
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
            self._callers.close()
            if self._root >= 0:
                os.close(self._root)
        return Observed(tuple(self._seen()), self._reason)

    def _follow(self) -> None:
        listener, ioctl, unpack = self._listener, fcntl.ioctl, _NOTIFICATION.unpack
        paths, special, events = self._paths, self._special, self._events
        empty = bytes(_NOTIFICATION.size)
        notification = bytearray(empty)
        answer = bytearray(_ANSWER.pack(0, 0, 0, _CONTINUE))
        callers, put_id, pread = self._callers, _ID.pack_into, os.pread
        memory, shared, text, place = callers.memory, callers.shared, callers.text, callers.place
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
            pid, number = words[1], words[3]
            try:
                if number in paths:
                    address_place, flags_place, mask, directory_place, call = paths[number]
                    # As Callers.text does it, but for what goes well nearly always.
                    try:
                        content = pread(memory[pid], SHORT, words[address_place])
                        end = content.find(0)
                    except (KeyError, OSError, OverflowError):
                        end = -1
                    path = named = content[:end] if end >= 0 else text(pid, words[address_place])
                    floor = b""
                    if path[:1] != b"/" or callers.changed_root:
                        if not path and words[directory_place] & 0xFFFFFFFF != AT_FDCWD:
                            pass  # it is about a descriptor, and what that stands for was opened before
                        else:
                            path, floor = place(pid, call, words[_FIRST_ARGUMENT:], path)
                    if path:
                        key = (number, words[flags_place] & mask, floor, path)
                        if key not in events:
                            self._note(key)
                    if pid in shared:
                        callers.check(pid, words[address_place], named)
                else:
                    special[number](number, pid, words[_FIRST_ARGUMENT:])
            except (Untraceable, OSError) as problem:
                if not self._reason and self._is_pending(words[0]):
                    self._reason = _words_for(problem)
            put_id(answer, 0, words[0])
            try:
                ioctl(listener, _SEND, answer)
            except FileNotFoundError:
                pass  # it is gone, or was interrupted and asks again
            except OSError as error:
                self._reason = self._reason or f"could not be answered: {error.strerror}"

    def _is_pending(self, call: int) -> bool:
        """Tell whether whoever makes a call still waits for the answer; of who was killed nothing can be read."""
        try:
            fcntl.ioctl(self._listener, _IS_VALID, bytearray(_ID.pack(call)))
        except OSError:
            return False
        return True

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
        path = self._callers.text(pid, arguments[call.path])
        if not path:
            return b"", b""
        placed = self._callers.place(pid, call, arguments, path)
        if pid in self._callers.shared:
            self._callers.check(pid, arguments[call.path], path)
        return placed

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
        target = self._callers.text(pid, arguments[0])
        if path and target:
            self._note((_ACTION, RIGHTS, floor, path))
            self._note((_LINK, 0, floor, path + b"\0" + target))

    def _execute(self, number: int, pid: int, arguments: Arguments) -> None:
        call = calls.EXECUTE_CALLS[self._names[number]]
        path, floor = self._argument(pid, call, arguments)
        if not path and number == NUMBERS[os.uname().machine]["execveat"]:
            base = self._callers.link_of(pid, b"fd/%d" % (arguments[0] & 0xFFFFFFFF))
            path = base if base[:1] == b"/" else b"/memory"
        # From now on its memory may be another.
        self._callers.forget(pid)
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
        if not path.startswith(floor + b"/"):
            raise Untraceable("executes a program above the root of its process")
        root = self._root
        if floor or root < 0:
            root = self._callers.open_root(pid)
        try:
            interpreter = interpreter_of(root, path[len(floor) :], floor, self._executed)
        finally:
            if floor:
                os.close(root)
            else:
                self._root = root
        if interpreter and not interpreter.startswith(b"/"):
            return self._callers.directory(pid) + b"/" + interpreter
        return interpreter and floor + interpreter

    def _socket(self, number: int, pid: int, arguments: Arguments) -> None:
        place = calls.SOCKET_CALLS[self._names[number]]
        if not arguments[place]:
            return
        size = min(arguments[place + 1] & 0xFFFFFFFF, _SOCKET_ADDRESS)
        if size < 3:
            return
        address = self._callers.read(pid, arguments[place], size)
        if len(address) > 3 and int.from_bytes(address[:2], "little") == _AF_UNIX and address[2]:
            path = address[2:].partition(b"\0")[0]
            path, floor = self._callers.place(pid, PathCall(0), arguments, path)
            if path:
                self._note((_ACTION, RIGHTS | FOLLOW, floor, path))

    def _change_directory(self, number: int, pid: int, arguments: Arguments) -> None:
        path, floor = self._argument(pid, PathCall(0), arguments)
        if path:
            self._note((_ACTION, RIGHTS | FOLLOW, floor, path))
        self._callers.forget_directory(pid)

    def _forget_directory(self, number: int, pid: int, arguments: Arguments) -> None:
        self._callers.forget_directory(pid)

    def _change_root(self, number: int, pid: int, arguments: Arguments) -> None:
        self._change_directory(number, pid, arguments)
        self._callers.changed_root = True

    def _open_how(self, number: int, pid: int, arguments: Arguments) -> None:
        how = self._callers.read(pid, arguments[2], 24)
        path, floor = self._argument(pid, PathCall(1, 0), arguments)
        if len(how) < 24 or not path:
            return
        flags, _, resolve = struct.unpack("=3Q", how)
        if resolve & syscalls.RESOLVE_IN_ROOT:
            raise Untraceable("opens paths below a root of its own")
        self._note((_ACTION, calls.opening(flags), floor, path))

    def _thread(self, number: int, pid: int, arguments: Arguments) -> None:
        self._callers.share(pid, all_of_it=not arguments[0] & calls.CLONE_THREAD)

    def _controls_another(self, number: int, pid: int, arguments: Arguments) -> None:
        raise Untraceable("changes other processes while they run")


def _words_for(problem: Untraceable | OSError) -> str:
    if isinstance(problem, Untraceable):
        return str(problem)
    return f"could not be looked into: {problem.strerror}"


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
