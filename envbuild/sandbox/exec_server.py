"""Process 1's side of commands that are started beside the first one: `exec` in a running instance."""

from __future__ import annotations

import errno
import os
import select

from envbuild.errors import EnvbuildError
from envbuild.linux import signals as signal
from envbuild.linux.sockets import AF_INET, AF_INET6, AF_NETLINK, SOCK_DGRAM, SOCK_RAW, SOCK_STREAM, socket
from envbuild.record import assert_never
from envbuild.sandbox.child import Command, Confinement, fork_command, not_started, problem_of, start
from envbuild.sandbox.protocol import (
    FIRST_COMMAND,
    MAX_SOCKETS,
    QUESTIONS,
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
from envbuild.sandbox.spec import STREAMS, ExecCommand, FailedInside
from envbuild.sandbox.user_lookup import identity_of
from envbuild.sandbox.wire import close_all, receive, send

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from envbuild.sandbox.protocol import Protocol, Question


class ExecServer:
    """The commands beside the first one, by the numbers that they were asked for under."""

    def __init__(
        self,
        link: socket,
        confinement: Confinement,
        *,
        terminal: Callable[[], tuple[int, str]],
        unfiltered: bool,
    ) -> None:
        """`terminal` opens one and gives its master side and its path. With `unfiltered` the commands have no filter,
        as the first one."""
        self._link = link
        self._confinement = confinement
        self._terminal = terminal
        self._unfiltered = unfiltered
        self._commands: dict[int, tuple[int, Command, ExecCommand]] = {}
        self._first = 0
        self._early: list[int] = []
        """Signals for the first command that came before it was executed."""

    def wait_for_network(self, opened: tuple[int, ...]) -> None:
        """Have whoever asked for the run connect this network to others, and wait until it is done. `opened` are
        descriptors of the network and user namespaces, which are closed. Raises SandboxFailure."""
        with socket(AF_NETLINK, SOCK_RAW) as route:  # rtnetlink(7) is the first of its protocols
            send(self._link, Network(), (route.fileno(), *opened))
        for descriptor in opened:
            os.close(descriptor)
        while (received := receive(self._link, QUESTIONS)) is not None:
            question, descriptors = received
            if isinstance(question, Connected):
                if question.reason:
                    raise FailedInside(question.reason, question.hint)
                return
            self._answer(question, descriptors)

    def serve_until(self, child: int) -> tuple[int, int]:
        """Start what is asked for, and reap, until `child`, the first command, ends; return its (exit code, signal)."""
        self._first = child
        for sent in self._early:
            os.kill(child, sent)
        reading, writing = os.pipe2(os.O_CLOEXEC | os.O_NONBLOCK)
        signal.set_wakeup_fd(writing, warn_on_full_buffer=False)
        signal.signal(signal.SIGCHLD, lambda number, frame: None)
        poller = select.poll()
        for descriptor in (reading, self._link.fileno()):
            poller.register(descriptor, select.POLLIN)
        while True:
            ended = self._reap(child)
            if ended is not None:
                return ended
            for descriptor, _ in poller.poll():
                if descriptor == reading:
                    os.read(reading, 4096)
                elif not self._obey():
                    poller.unregister(descriptor)

    def _obey(self) -> bool:
        """Do what one message asks for; False when there will be no more."""
        received = receive(self._link, QUESTIONS)
        if received is None:
            return False
        self._answer(*received)
        return True

    def _answer(self, question: Question, descriptors: tuple[int, ...]) -> None:
        match question:
            case Enter(number, command):
                self._enter(number, command, descriptors)
            case OpenSockets(protocol, count):
                self._send_sockets(protocol, count)
            case Signal(number, sent) if number == FIRST_COMMAND and self._first:
                os.kill(self._first, sent)
            case Signal(number, sent) if number == FIRST_COMMAND:
                self._early.append(sent)
            case Signal(number, sent):
                for pid, (entered, _, _) in self._commands.items():
                    if entered == number:
                        # SIGKILL goes to all that the command started, too; other signals are its own matter.
                        os.kill(-pid if sent == signal.SIGKILL else pid, sent)
            case Pause(stop):
                # All but this process, in one call: none can start another one meanwhile (kill(2)).
                os.kill(-1, signal.SIGSTOP if stop else signal.SIGCONT)
                send(self._link, Paused())
            case OpenRoot(number):
                # From here, as this process can't be looked into (PR_SET_DUMPABLE): /proc/PID/root says nothing.
                root = os.open("/", os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
                send(self._link, Root(number), (root,))
                os.close(root)
            case Connected():
                pass  # nothing waits for it
            case _:
                assert_never(question)
        close_all(descriptors)

    def _send_sockets(self, protocol: Protocol, count: int) -> None:
        """Send so many new sockets. Made here, they belong to the sandbox's network wherever they are used."""
        while count > 0:
            wanted = min(count, MAX_SOCKETS)
            made: list[socket] = []
            try:
                made.extend(_new_socket(protocol) for _ in range(wanted))
            except OSError:
                pass  # too many files are open: who asked gets what there is, and asks again
            count -= wanted
            send(self._link, Sockets(protocol, wanted), [made_socket.fileno() for made_socket in made])
            for made_socket in made:
                made_socket.close()

    def _enter(self, number: int, entry: ExecCommand, streams: tuple[int, ...]) -> None:
        try:
            if len(streams) != STREAMS:
                raise OSError(errno.EMFILE, os.strerror(errno.EMFILE))
            identity = identity_of(entry.user)
            path = None
            if entry.terminal:
                master, path = self._terminal()
                send(self._link, EnteredTerminal(number), (master,))
                os.close(master)
            command = fork_command(self._confinement)
            start(command, entry, identity, streams, path, unfiltered=self._unfiltered)
            self._commands[command.pid] = (number, command, entry)
        except EnvbuildError as error:
            send(self._link, EnteredFailed(number, error.message, error.hint, error.exit_code))
        except OSError as error:
            send(self._link, EnteredFailed(number, f"the command can't be started: {error.strerror}", ""))

    def _reap(self, child: int) -> tuple[int, int] | None:
        while True:
            try:
                pid, status = os.waitpid(-1, os.WNOHANG)
            except (InterruptedError, ChildProcessError):
                continue
            if pid == 0:
                return None
            code = os.waitstatus_to_exitcode(status)
            ended = (code, 0) if code >= 0 else (128 - code, -code)
            if pid == child:
                return ended
            if pid in self._commands:
                number, command, entry = self._commands.pop(pid)
                problem = problem_of(command, entry)
                os.close(command.failed)
                if problem is not None:
                    error = not_started(entry, problem)
                    send(self._link, EnteredFailed(number, error.message, error.hint, error.exit_code))
                else:
                    send(self._link, EnteredEnded(number, *ended))


def _new_socket(protocol: str) -> socket:
    """Return a socket for datagrams, or a stream that can be connected to IPv4 and, where the kernel has it, IPv6."""
    if protocol == "udp":
        return socket(AF_INET, SOCK_DGRAM)
    try:
        return socket(AF_INET6, SOCK_STREAM)
    except OSError:
        return socket(AF_INET, SOCK_STREAM)
