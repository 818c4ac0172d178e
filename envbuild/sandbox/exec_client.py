"""Commands beside the first one of a sandbox, as whoever asked for the sandbox sees them."""

from __future__ import annotations

import errno
import os
import stat
from _thread import allocate_lock

from envbuild.contexts import contextmanager
from envbuild.errors import EnvbuildError, fields
from envbuild.linux.latch import Latch
from envbuild.linux.sockets import AF_INET, AF_INET6, AF_NETLINK, SOCK_DGRAM, SOCK_STREAM, socket
from envbuild.record import Record, assert_never
from envbuild.sandbox.protocol import (
    FIRST_COMMAND,
    Connected,
    Enter,
    EnteredEnded,
    EnteredFailed,
    EnteredTerminal,
    Network,
    OpenRoot,
    OpenSockets,
    Pause,
    Paused,
    Root,
    Signal,
    Sockets,
)
from envbuild.sandbox.spec import ExecCommand, SandboxFailure, failed_inside
from envbuild.sandbox.stdio import give_to_sandbox
from envbuild.sandbox.user_namespace import IdMap
from envbuild.sandbox.wire import close_all, send

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from queue import SimpleQueue

    from envbuild.sandbox.protocol import EnteredAnswer, ExecAnswer, Protocol


_NOT_STARTED = 127
"""The status of a command that could not be executed, as in a shell."""


@fields
class SandboxEnded(SandboxFailure):
    """The sandbox of an instance is gone."""

    mend: str = ""

    def text(self) -> tuple[str, str]:
        return "the instance is not running", self.mend


class CommandEnd(Record):
    """The end of a command that was entered: its exit status (128 + the signal's number), or why it did not start."""

    status: int
    failure: SandboxFailure | None = None


def drop(protocol: str, count: int, descriptors: tuple[int, ...]) -> None:
    """Close sockets that nobody wants any more."""
    close_all(descriptors)


class Session:
    """The commands beside one run. Several threads may use it; answers come in the thread that waits for the run."""

    def __init__(self) -> None:
        self._lock = allocate_lock()
        self._link: socket | None = None
        self._ids: IdMap | None = None
        self._next = 0
        self.sockets: Callable[[str, int, tuple[int, ...]], None] = drop
        """Gets the sockets that were asked for: their protocol, how many were sent and those that arrived."""
        self.connect: Callable[[int, int, int], None] = lambda route, network, user: None
        """Connects the sandbox's network to others before its command starts, if the request says `attached`. It gets
        a netlink socket of it, and descriptors of the network and user namespaces."""
        self._pausing = allocate_lock()
        self._pauses = 0
        self._done = Latch()
        self._waiting: dict[int, tuple[Callable[[CommandEnd], None], Callable[[int], None]]] = {}
        self._roots: dict[int, SimpleQueue[int]] = {}
        self._wanted: dict[str, int] = {}
        """How many sockets were asked for, by their protocol: more are not taken."""
        self._connected = False

    def enter(
        self,
        entry: ExecCommand,
        streams: tuple[int, int, int],
        ended: Callable[[CommandEnd], None],
        terminal: Callable[[int], None] = os.close,
    ) -> int:
        """Start a command with these streams; return its number. `ended` is called when it is over, `terminal` with the
        master side of its terminal if it wants one. Raises SandboxFailure if the sandbox is gone."""
        with self._lock:
            if self._link is None:
                raise SandboxEnded("start it again: envbuild start NAME")
            self._next += 1
            number = self._next
            self._waiting[number] = (ended, terminal)
            if self._ids is not None:
                give_to_sandbox(streams, self._ids)
            send(self._link, Enter(number, entry), streams)
        return number

    def signal_first(self, what: int) -> None:
        """Send a signal to the sandbox's first command; nothing if it is over. If it was not executed yet, it gets the
        signal as soon as it is."""
        with self._lock:
            if self._link is not None:
                self._send_signal(FIRST_COMMAND, what)

    def signal(self, number: int, what: int) -> None:
        """Send a signal to a command that was entered; nothing if it is over."""
        with self._lock:
            if self._link is not None and number in self._waiting:
                self._send_signal(number, what)

    def _send_signal(self, number: int, what: int) -> None:
        assert self._link is not None
        try:
            send(self._link, Signal(number, what))
        except OSError:
            pass  # it ends this moment

    def ask_sockets(self, protocol: Protocol, count: int) -> bool:
        """Ask for so many sockets of the sandbox's own network (`tcp` or `udp`), which come to `sockets`; False if the
        sandbox is gone."""
        with self._lock:
            if self._link is None:
                return False
            send(self._link, OpenSockets(protocol, count))
            self._wanted[protocol] = self._wanted.get(protocol, 0) + count
            return True

    def root(self) -> int:
        """Return a descriptor of the sandbox's root directory, for whoever closes it (open(2), O_PATH). What is looked
        up from there must not follow a link out: openat2 with RESOLVE_IN_ROOT. Raises SandboxFailure if the sandbox is
        gone."""
        from queue import SimpleQueue  # only where files are copied

        answer: SimpleQueue[int] = SimpleQueue()
        with self._lock:
            if self._link is None:
                raise SandboxEnded
            self._next += 1
            self._roots[self._next] = answer
            send(self._link, OpenRoot(self._next))
        root = answer.get()
        if root < 0:
            raise SandboxEnded
        return root

    @contextmanager
    def paused(self) -> Iterator[None]:
        """Stop every process in the sandbox (SIGSTOP), and let them go on in the end. Several may want it at
        a time. Raises SandboxFailure if the sandbox is gone."""
        with self._pausing:
            self._pauses += 1
            if self._pauses == 1:
                self._pause(True)
        try:
            yield
        finally:
            with self._pausing:
                self._pauses -= 1
                if self._pauses == 0:
                    self._pause(False)

    def _pause(self, stop: bool) -> None:
        self._done = Latch()
        with self._lock:
            if self._link is None:
                if stop:
                    raise SandboxEnded
                return
            send(self._link, Pause(stop))
        self._done.wait(5)

    def begin(self, link: socket, ids: IdMap) -> None:
        """Take the socket of a sandbox, which has these ids and can be asked from now on."""
        with self._lock:
            self._link = link
            self._ids = ids
            self._wanted, self._connected = {}, False

    def take(self, answer: ExecAnswer, descriptors: tuple[int, ...]) -> None:
        """Take an answer of the sandbox. What its descriptors are is checked here: process 1 sends what it likes."""
        match answer:
            case Paused():
                self._done.set()
            case Sockets(protocol, count):
                self._take_sockets(protocol, count, descriptors)
            case Network():
                self._connect(descriptors)
            case Root(number):
                self._take_root(number, descriptors)
            case EnteredTerminal() | EnteredEnded() | EnteredFailed():
                self._take_of_command(answer, descriptors)
            case _:
                assert_never(answer)

    def _take_root(self, number: int, descriptors: tuple[int, ...]) -> None:
        root = self._roots.pop(number, None)
        if root is not None and descriptors and stat.S_ISDIR(os.fstat(descriptors[0]).st_mode):
            root.put(descriptors[0])
            return
        close_all(descriptors)
        if root is not None:
            root.put(-1)

    def _take_of_command(self, answer: EnteredAnswer, descriptors: tuple[int, ...]) -> None:
        number = answer.number
        if isinstance(answer, EnteredTerminal):
            if number not in self._waiting or not descriptors or not os.isatty(descriptors[0]):
                close_all(descriptors)
                return
            ended, terminal = self._waiting[number]
            self._waiting[number] = (ended, os.close)  # it has one now
            terminal(descriptors[0])
            return
        ended, _ = self._waiting.pop(number, (lambda how: None, os.close))
        match answer:
            case EnteredEnded(_, status):
                ended(CommandEnd(status))
            case EnteredFailed(_, reason, hint, code):
                ended(CommandEnd(_NOT_STARTED, failed_inside(reason, hint, code)))
            case _:
                assert_never(answer)

    def _take_sockets(self, protocol: Protocol, count: int, descriptors: tuple[int, ...]) -> None:
        """Pass on what was asked for: internet sockets of the right kind, no more than were asked for."""
        with self._lock:
            wanted = self._wanted.get(protocol, 0)
            count = max(0, min(count, wanted))
            self._wanted[protocol] = wanted - count
        if count == 0:
            close_all(descriptors)
            return
        good = [descriptor for descriptor in descriptors if _is_socket(descriptor, protocol)][:count]
        close_all([descriptor for descriptor in descriptors if descriptor not in good])
        self.sockets(protocol, count, tuple(good))

    def _connect(self, descriptors: tuple[int, ...]) -> None:
        problem = ("", "")
        try:
            if self._connected:
                return
            self._connected = True
            if len(descriptors) != Network.max_descriptors:
                raise OSError(errno.EMFILE, os.strerror(errno.EMFILE))
            if socket_family(descriptors[0]) != AF_NETLINK:
                raise OSError(errno.ENOTSOCK, os.strerror(errno.ENOTSOCK))
            self.connect(*descriptors)
        except EnvbuildError as error:
            problem = (error.message, error.hint)
        except OSError as error:
            problem = (f"the network can't be connected: {error.strerror or error}", "")
        finally:
            close_all(descriptors)
        with self._lock:
            if self._link is not None:
                send(self._link, Connected(*problem))

    def end(self) -> None:
        """End every command: the sandbox is gone."""
        with self._lock:
            self._link = None
            left, self._waiting = self._waiting, {}
            roots, self._roots = self._roots, {}
        for ended, _ in left.values():
            ended(CommandEnd(137))
        for answer in roots.values():
            answer.put(-1)


def _is_socket(descriptor: int, protocol: str) -> bool:
    """Tell whether it is an internet socket for this protocol."""
    kind = SOCK_STREAM if protocol == "tcp" else SOCK_DGRAM
    return socket_family(descriptor, kind) in (AF_INET, AF_INET6)


def socket_family(descriptor: int, kind: int | None = None) -> int:
    """Return the family of a socket (of this kind, if one is given); -1 for anything else."""
    try:
        opened = socket(fileno=descriptor)
    except OSError:
        return -1
    try:
        return int(opened.family) if kind is None or opened.type == kind else -1
    finally:
        opened.detach()
