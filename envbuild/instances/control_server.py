"""The supervisor's side of the control socket: a thread for each client."""

from __future__ import annotations

import os
import select
import struct
import time
from _thread import start_new_thread

from envbuild.errors import EnvbuildError
from envbuild.instances import control_client
from envbuild.instances.descriptor_limits import allowance
from envbuild.instances.messages import (
    CONTROL_REQUESTS,
    CommandEnded,
    Done,
    ExecRequest,
    ExecTerminal,
    PauseRequest,
    RequestFailed,
    RootRequest,
    SignalRequest,
    StopRequest,
    WaitRequest,
)
from envbuild.linux import signals as signal
from envbuild.linux.latch import Latch
from envbuild.linux.sockets import AF_UNIX, SHUT_RDWR, SO_SNDTIMEO, SOCK_STREAM, SOL_SOCKET, socket
from envbuild.record import assert_never
from envbuild.sandbox.exec_client import CommandEnd, Session
from envbuild.sandbox.spec import STREAMS
from envbuild.sandbox.wire import close_all, receive, send

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Protocol

    from envbuild.instances.messages import ControlRequest

    class Controlled(Protocol):
        """What can be asked of a supervisor."""

        def signal(self, number: int) -> None: ...

        def stop(self, seconds: float | None = None) -> None: ...

        def wait(self) -> int: ...


PATIENCE = 5
"""Seconds that who asks has to say what for, and to take an answer."""
_OTHERS = 24
"""Descriptors that a supervisor needs besides those of who asks: streams, logs, its sandbox."""
_MIN_ANSWERS = 8
_PAUSE = 0.05


class ControlServer:
    """Answers on the socket in an instance's folder.

    There is always room for who wants the instance to end: what stays connected (`exec`, `wait`) is refused when so
    many are that descriptors could run out, and who says nothing is dropped.
    """

    def __init__(self, folder: str, session: Session, supervisor: Controlled) -> None:
        self._path = f"{folder}/{control_client.SOCKET}"
        self._session = session
        self._supervisor = supervisor
        self._answering: list[Latch] = []
        """Open for those who have their answer."""
        self._over = False
        self._most = max(_MIN_ANSWERS, allowance().kept - _OTHERS)
        self._server = socket(AF_UNIX, SOCK_STREAM)
        self._listen(folder)

    def start(self) -> None:
        """Begin to answer."""
        start_new_thread(self._serve, ())

    def end(self) -> None:
        """Answer no more, once who asked before was told how it ended."""
        self._over = True
        try:
            os.unlink(self._path)
        except OSError:
            pass  # it is gone with its folder, or the disk is broken
        try:
            self._server.shutdown(SHUT_RDWR)
        except OSError:
            pass
        self._server.close()
        # For all together: who hangs has no time of his own.
        latest = time.monotonic() + 1
        for answered in list(self._answering):
            answered.wait(latest - time.monotonic())

    def _listen(self, folder: str) -> None:
        if os.path.lexists(self._path):
            os.unlink(self._path)
        # Through a descriptor: a socket's path may have 108 bytes only (unix(7)), and a store lies where it lies.
        opened = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            self._server.bind(f"/proc/self/fd/{opened}/{control_client.SOCKET}")
        finally:
            os.close(opened)
        os.chmod(self._path, 0o600)
        self._server.listen(64)

    def _serve(self) -> None:
        while not self._over:
            try:
                link, _ = self._server.accept()
            except OSError:
                # Without a descriptor for him he waits; after the end there is no socket any more.
                time.sleep(_PAUSE)
                continue
            self._answering = [answered for answered in self._answering if not answered.is_set()]
            crowded = len(self._answering) >= self._most
            answered = Latch()
            try:
                start_new_thread(self._answer, (link, crowded, answered))
            except RuntimeError:
                link.close()  # no more threads: who asks is told that nobody answers
                continue
            self._answering.append(answered)

    def _answer(self, link: socket, crowded: bool, answered: Latch) -> None:
        try:
            self._answer_on(link, crowded)
        finally:
            answered.set()

    def _answer_on(self, link: socket, crowded: bool) -> None:
        with link:
            try:
                link.settimeout(PATIENCE)
                received = receive(link, CONTROL_REQUESTS)
                link.settimeout(None)
                link.setsockopt(SOL_SOCKET, SO_SNDTIMEO, struct.pack("ll", PATIENCE, 0))
                if received is not None:
                    self._do(link, *received, crowded=crowded)
            except (OSError, EnvbuildError):
                pass  # who asked is gone, hangs or talks nonsense; or the command is gone

    def _do(self, link: socket, request: ControlRequest, descriptors: tuple[int, ...], *, crowded: bool) -> None:
        if crowded and not isinstance(request, SignalRequest | StopRequest):
            close_all(descriptors)
            reason = f"{self._most} commands are connected to it already"
            send(link, RequestFailed(reason, "end some of them, or raise the limit on open files (ulimit -n)"))
            return
        match request:
            case ExecRequest():
                self._enter(link, request, descriptors)
            case SignalRequest(number):
                self._supervisor.signal(number)
                send(link, Done())
            case StopRequest(seconds):
                self._supervisor.stop(seconds)
                send(link, CommandEnded(self._supervisor.wait()))
            case WaitRequest():
                send(link, CommandEnded(self._supervisor.wait()))
            case PauseRequest():
                with self._session.paused():
                    send(link, Done())
                    receive(link, CONTROL_REQUESTS)  # until the client has enough
            case RootRequest():
                root = self._session.root()
                try:
                    send(link, Done(), (root,))
                finally:
                    os.close(root)
            case _:
                assert_never(request)

    def _enter(self, link: socket, request: ExecRequest, descriptors: tuple[int, ...]) -> None:
        over = Latch()

        def ended(how: CommandEnd) -> None:
            _quietly(lambda: _tell(link, how))
            over.set()

        def terminal(master: int) -> None:
            _quietly(lambda: send(link, ExecTerminal(), (master,)))
            os.close(master)

        try:
            if len(descriptors) != STREAMS:
                send(link, RequestFailed("too many files are open", "raise the limit on open files (ulimit -n)"))
                return
            number = self._session.enter(
                request.command, (descriptors[0], descriptors[1], descriptors[2]), ended, terminal
            )
        except EnvbuildError as error:
            send(link, RequestFailed(error.message, error.hint))
            return
        finally:
            for descriptor in set(descriptors):
                os.close(descriptor)
        while _is_readable(link, over):
            received = receive(link, CONTROL_REQUESTS)
            if received is None:
                # Who asked is gone: as with a terminal that is closed.
                self._session.signal(number, int(signal.SIGHUP))
                return
            close_all(received[1])
            if isinstance(received[0], SignalRequest):
                self._session.signal(number, received[0].signal)


def _is_readable(link: socket, over: Latch) -> bool:
    """Wait for who asked to say more; False if he says nothing after it is over."""
    poller = select.poll()
    poller.register(link, select.POLLIN)
    while not poller.poll(PATIENCE * 1000):
        if over.is_set():
            return False
    return True


def _tell(link: socket, how: CommandEnd) -> None:
    if how.failure is not None:
        send(link, RequestFailed(how.failure.message, how.failure.hint, how.failure.exit_code))
    else:
        send(link, CommandEnded(how.status))


def _quietly(work: Callable[[], None]) -> None:
    try:
        work()
    except OSError:
        pass  # who asked is gone
