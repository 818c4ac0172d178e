"""The supervisor's side of the control socket: a thread for each who asks."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Callable
from socket import AF_UNIX, SHUT_RDWR, SOCK_STREAM, socket

from envbuild.errors import EnvbuildError
from envbuild.runtime import control
from envbuild.sandbox.request import Entry
from envbuild.sandbox.session import Ended, Session
from envbuild.sandbox.wire import receive, send

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Protocol

    class Controlled(Protocol):
        """What can be asked of a supervisor."""

        def signal(self, number: int) -> None: ...

        def stop(self, seconds: float | None = None) -> None: ...

        def wait(self) -> int: ...


class ControlServer:
    """Answers on the socket in an instance's folder."""

    def __init__(self, folder: str, session: Session, supervisor: Controlled) -> None:
        self._path = f"{folder}/{control.SOCKET}"
        self._session = session
        self._supervisor = supervisor
        self._answering: list[threading.Thread] = []
        self._server = socket(AF_UNIX, SOCK_STREAM)
        self._listen(folder)

    def start(self) -> None:
        """Begins to answer."""
        threading.Thread(target=self._serve, name="control", daemon=True).start()

    def end(self) -> None:
        """Answers no more, once who asked before was told how it ended."""
        os.unlink(self._path)
        try:
            self._server.shutdown(SHUT_RDWR)
        except OSError:
            pass
        self._server.close()
        for thread in list(self._answering):
            thread.join(timeout=1)

    def _listen(self, folder: str) -> None:
        if os.path.lexists(self._path):
            os.unlink(self._path)
        # Through a descriptor: a socket's path may have 108 bytes only (unix(7)), and a store lies where it lies.
        opened = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            self._server.bind(f"/proc/self/fd/{opened}/{control.SOCKET}")
        finally:
            os.close(opened)
        os.chmod(self._path, 0o600)
        self._server.listen(64)

    def _serve(self) -> None:
        while True:
            try:
                link, _ = self._server.accept()
            except OSError:
                return  # closed: the instance is over
            thread = threading.Thread(target=self._answer, args=(link,), name="answer", daemon=True)
            self._answering = [one for one in self._answering if one.is_alive()]
            self._answering.append(thread)
            thread.start()

    def _answer(self, link: socket) -> None:
        with link:
            try:
                message = receive(link)
                if message is None:
                    return
                kind, payload, descriptors = message
                if kind == control.ENTER:
                    self._enter(link, payload, descriptors)
                elif kind == control.SIGNAL:
                    self._supervisor.signal(payload[0])
                    send(link, control.DONE, ())
                elif kind == control.STOP:
                    self._supervisor.stop(payload[0])
                    send(link, control.ENDED, (self._supervisor.wait(),))
                elif kind == control.WAIT:
                    send(link, control.ENDED, (self._supervisor.wait(),))
                elif kind == control.PAUSE:
                    with self._session.paused():
                        send(link, control.DONE, ())
                        receive(link)  # until who asked has enough
                elif kind == control.ROOT:
                    root = self._session.root()
                    try:
                        send(link, control.DONE, (), (root,))
                    finally:
                        os.close(root)
            except (OSError, EOFError, EnvbuildError):
                pass  # who asked is gone, or the command is

    def _enter(self, link: socket, payload: tuple[Any, ...], descriptors: tuple[int, ...]) -> None:
        over = threading.Event()

        def ended(how: Ended) -> None:
            _quietly(lambda: _tell(link, how))
            over.set()

        def terminal(master: int) -> None:
            _quietly(lambda: send(link, control.TERMINAL, (), (master,)))
            os.close(master)

        entry = Entry(*payload)
        try:
            number = self._session.enter(entry, (descriptors[0], descriptors[1], descriptors[2]), ended, terminal)
        except EnvbuildError as error:
            send(link, control.FAILED, (error.message, error.hint))
            return
        finally:
            for descriptor in set(descriptors):
                os.close(descriptor)
        while not over.is_set():
            message = receive(link)
            if message is None:
                # Who asked is gone: as with a terminal that is closed.
                self._session.signal(number, int(signal.SIGHUP))
                return
            if message[0] == control.SIGNAL:
                self._session.signal(number, message[1][0])


def _tell(link: socket, how: Ended) -> None:
    if how.failure is not None:
        send(link, control.FAILED, (how.failure.message, how.failure.hint))
    else:
        send(link, control.ENDED, (how.status,))


def _quietly(work: Callable[[], None]) -> None:
    try:
        work()
    except OSError:
        pass  # who asked is gone
