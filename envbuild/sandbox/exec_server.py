"""Process 1's side of commands that are started beside the first one: `exec` in a running instance."""

from __future__ import annotations

import errno
import os
import select
from collections.abc import Callable, Sequence
from socket import AF_INET, AF_INET6, AF_NETLINK, SOCK_DGRAM, SOCK_RAW, SOCK_STREAM, socket

from envbuild.errors import EnvbuildError
from envbuild.linux import signals as signal
from envbuild.sandbox.child import Command, Confinement, fork_command, problem_of, start
from envbuild.sandbox.failure import SandboxFailure
from envbuild.sandbox.messages import (
    CONNECTED,
    ENTER,
    ENTERED,
    NETWORK,
    PAUSE,
    PAUSED,
    REFUSED,
    ROOT,
    SIGNAL,
    SOCKET,
    SOCKETS,
    TERMINAL,
    THE_ROOT,
)
from envbuild.sandbox.spec import Request
from envbuild.sandbox.user_lookup import identity_of
from envbuild.sandbox.wire import MOST_DESCRIPTORS, receive, send

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any


class Beside:
    """The commands beside the first one, by the numbers that they were asked for under."""

    def __init__(
        self,
        link: socket,
        confinement: Confinement,
        *,
        terminal: Callable[[], tuple[int, str]],
        reason: Callable[[Request, OSError], EnvbuildError],
    ) -> None:
        """`terminal` opens one and gives its master side and its path; `reason` says why a command did not start."""
        self._link = link
        self._confinement = confinement
        self._terminal = terminal
        self._reason = reason
        self._commands: dict[int, tuple[int, Command, Request]] = {}

    def wait_for_network(self) -> None:
        """Has whoever asked for the run connect this network to others, and waits until it is done. Raises
        SandboxFailure."""
        opened = (os.open("/proc/self/ns/net", os.O_RDONLY), os.open("/proc/self/ns/user", os.O_RDONLY))
        with socket(AF_NETLINK, SOCK_RAW) as route:  # rtnetlink(7) is the first of its protocols
            send(self._link, NETWORK, (), (route.fileno(), *opened))
        for descriptor in opened:
            os.close(descriptor)
        while (message := receive(self._link)) is not None:
            if message[0] == CONNECTED:
                reason, hint = message[1]
                if reason:
                    raise SandboxFailure(reason, hint)
                return
            self._do(*message)

    def serve_until(self, child: int) -> tuple[int, int]:
        """Starts what is asked for, and reaps, until `child` ends; its (exit code, signal)."""
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
        """Does what one message asks for; False when there will be no more."""
        message = receive(self._link)
        if message is None:
            return False
        self._do(*message)
        return True

    def _do(self, kind: str, payload: tuple[Any, ...], streams: tuple[int, ...]) -> None:
        if kind == ENTER:
            self._enter(payload, streams)
        elif kind == SOCKETS:
            self._give_sockets(*payload)
        elif kind == SIGNAL:
            number, what = payload
            for pid, (asked, _, _) in self._commands.items():
                if asked == number:
                    # What is ended for certain goes with what it started; other signals are the command's own matter.
                    os.kill(-pid if what == signal.SIGKILL else pid, what)
        elif kind == PAUSE:
            # All but this process, in one call: none can start another one meanwhile (kill(2)).
            os.kill(-1, signal.SIGSTOP if payload[0] else signal.SIGCONT)
            send(self._link, PAUSED, ())
        elif kind == ROOT:
            # From here, as this process can't be looked into (PR_SET_DUMPABLE): /proc/PID/root says nothing.
            root = os.open("/", os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
            send(self._link, THE_ROOT, payload, (root,))
            os.close(root)
        for descriptor in set(streams):
            os.close(descriptor)

    def _give_sockets(self, protocol: str, count: int) -> None:
        """Sends so many new sockets. Made here, they belong to the sandbox's network wherever they are used."""
        while count > 0:
            wanted = min(count, MOST_DESCRIPTORS)
            made: list[socket] = []
            try:
                made.extend(_new_socket(protocol) for _ in range(wanted))
            except OSError:
                pass  # too many files are open: who asked gets what there is, and asks again
            count -= wanted
            send(self._link, SOCKET, (0, protocol, wanted), [one.fileno() for one in made])
            for one in made:
                one.close()

    def _enter(self, payload: tuple[object, ...], streams: Sequence[int]) -> None:
        number, argv, environment, directory, user, wants_terminal = payload
        assert isinstance(number, int)
        request = Request((), argv, environment, directory=directory, user=user)  # type: ignore[arg-type]
        try:
            if len(streams) != 3:
                raise OSError(errno.EMFILE, os.strerror(errno.EMFILE))
            identity = identity_of(request.user)
            path = None
            if wants_terminal:
                master, path = self._terminal()
                send(self._link, TERMINAL, (number,), (master,))
                os.close(master)
            command = fork_command(self._confinement)
            start(command, request, identity, streams, path)
            self._commands[command.pid] = (number, command, request)
        except EnvbuildError as error:
            send(self._link, REFUSED, (number, error.message, error.hint))
        except OSError as error:
            send(self._link, REFUSED, (number, f"the command can't be started: {error.strerror}", ""))

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
                number, command, request = self._commands.pop(pid)
                problem = problem_of(command, request)
                os.close(command.failed)
                if problem is not None:
                    error = self._reason(request, problem)
                    send(self._link, REFUSED, (number, error.message, error.hint))
                else:
                    send(self._link, ENTERED, (number, *ended))


def _new_socket(protocol: str) -> socket:
    """A socket for datagrams, or a stream that can be connected to IPv4 and, where the kernel has it, IPv6."""
    if protocol == "udp":
        return socket(AF_INET, SOCK_DGRAM)
    try:
        return socket(AF_INET6, SOCK_STREAM)
    except OSError:
        return socket(AF_INET, SOCK_STREAM)
