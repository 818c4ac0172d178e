"""The supervisor's side of the control socket: a thread for each who asks."""

from __future__ import annotations

import os
import select
import struct
import threading
import time
from collections.abc import Callable
from socket import AF_UNIX, SHUT_RDWR, SO_SNDTIMEO, SOCK_STREAM, SOL_SOCKET, socket

from envbuild.errors import EnvbuildError
from envbuild.instances import control_client
from envbuild.instances.descriptor_limits import allowance
from envbuild.linux import signals as signal
from envbuild.sandbox.exec_client import Ended, Session
from envbuild.sandbox.messages import TEXTS, fits
from envbuild.sandbox.spec import Entry
from envbuild.sandbox.wire import receive, send

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Protocol

    class Controlled(Protocol):
        """What can be asked of a supervisor."""

        def signal(self, number: int) -> None: ...

        def stop(self, seconds: float | None = None) -> None: ...

        def wait(self) -> int: ...


MAX_WAIT = 1e9
PATIENCE = 5
"""Seconds that who asks has to say what for, and to take an answer."""
_OTHERS = 24
"""Descriptors that a supervisor needs besides those of who asks: streams, logs, its sandbox."""
_LEAST = 8
_PAUSE = 0.05
_STREAMS = 3


class ControlServer:
    """Answers on the socket in an instance's folder.

    There is always room for who wants the instance to end: what stays connected (`exec`, `wait`) is refused when so
    many are that descriptors could run out, and who says nothing is dropped.
    """

    def __init__(self, folder: str, session: Session, supervisor: Controlled) -> None:
        self._path = f"{folder}/{control_client.SOCKET}"
        self._session = session
        self._supervisor = supervisor
        self._answering: list[threading.Thread] = []
        self._over = False
        self._most = max(_LEAST, allowance().kept - _OTHERS)
        self._server = socket(AF_UNIX, SOCK_STREAM)
        self._listen(folder)

    def start(self) -> None:
        """Begin to answer."""
        threading.Thread(target=self._serve, name="control", daemon=True).start()

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
        for thread in list(self._answering):
            thread.join(timeout=max(0.0, latest - time.monotonic()))

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
            self._answering = [one for one in self._answering if one.is_alive()]
            crowded = len(self._answering) >= self._most
            thread = threading.Thread(target=self._answer, args=(link, crowded), name="answer", daemon=True)
            try:
                thread.start()
            except RuntimeError:
                link.close()  # no more threads: who asks is told that nobody answers
                continue
            self._answering.append(thread)

    def _answer(self, link: socket, crowded: bool) -> None:
        with link:
            try:
                link.settimeout(PATIENCE)
                message = receive(link)
                link.settimeout(None)
                link.setsockopt(SOL_SOCKET, SO_SNDTIMEO, struct.pack("ll", PATIENCE, 0))
                if message is not None:
                    self._do(link, *message, crowded=crowded)
            except (OSError, EOFError, ValueError, TypeError, IndexError, EnvbuildError):
                pass  # who asked is gone, hangs or talks nonsense; or the command is gone

    def _do(
        self, link: socket, kind: str, payload: tuple[Any, ...], descriptors: tuple[int, ...], *, crowded: bool
    ) -> None:
        if not _is_question(kind, payload):
            for descriptor in descriptors:
                os.close(descriptor)
            return
        if crowded and kind not in (control_client.SIGNAL, control_client.STOP):
            for descriptor in descriptors:
                os.close(descriptor)
            reason = f"{self._most} commands are connected to it already"
            send(
                link, control_client.FAILED, (reason, "end some of them, or raise the limit on open files (ulimit -n)")
            )
        elif kind == control_client.ENTER:
            self._enter(link, payload, descriptors)
        elif kind == control_client.SIGNAL:
            self._supervisor.signal(payload[0])
            send(link, control_client.DONE, ())
        elif kind == control_client.STOP:
            self._supervisor.stop(payload[0])
            send(link, control_client.ENDED, (self._supervisor.wait(),))
        elif kind == control_client.WAIT:
            send(link, control_client.ENDED, (self._supervisor.wait(),))
        elif kind == control_client.PAUSE:
            with self._session.paused():
                send(link, control_client.DONE, ())
                receive(link)  # until who asked has enough
        elif kind == control_client.ROOT:
            root = self._session.root()
            try:
                send(link, control_client.DONE, (), (root,))
            finally:
                os.close(root)

    def _enter(self, link: socket, payload: tuple[Any, ...], descriptors: tuple[int, ...]) -> None:
        over = threading.Event()

        def ended(how: Ended) -> None:
            _quietly(lambda: _tell(link, how))
            over.set()

        def terminal(master: int) -> None:
            _quietly(lambda: send(link, control_client.TERMINAL, (), (master,)))
            os.close(master)

        try:
            if len(descriptors) != _STREAMS:
                send(
                    link,
                    control_client.FAILED,
                    ("too many files are open", "raise the limit on open files (ulimit -n)"),
                )
                return
            entry = Entry(*payload)
            number = self._session.enter(entry, (descriptors[0], descriptors[1], descriptors[2]), ended, terminal)
        except EnvbuildError as error:
            send(link, control_client.FAILED, (error.message, error.hint))
            return
        finally:
            for descriptor in set(descriptors):
                os.close(descriptor)
        while _is_readable(link, over):
            message = receive(link)
            if message is None:
                # Who asked is gone: as with a terminal that is closed.
                self._session.signal(number, int(signal.SIGHUP))
                return
            if message[0] == control_client.SIGNAL and _is_question(*message[:2]):
                self._session.signal(number, message[1][0])


def _is_question(kind: str, payload: tuple[Any, ...]) -> bool:
    """Tell whether a message asks for something as commands do."""
    if kind == control_client.ENTER:
        pairs = payload[1] if len(payload) > 1 and isinstance(payload[1], tuple) else ("",)
        return fits(payload, (TEXTS, tuple, str, str, bool)) and all(
            isinstance(pair, tuple) and fits(pair, (str, str)) for pair in pairs
        )
    if kind == control_client.SIGNAL:
        return fits(payload, (int,)) and 0 < payload[0] < signal.NSIG
    if kind == control_client.STOP:
        given = fits(payload, (int,)) or fits(payload, (float,))
        return payload == (None,) or (given and 0 <= payload[0] < MAX_WAIT)
    return payload == ()


def _is_readable(link: socket, over: threading.Event) -> bool:
    """Wait for who asked to say more; False if he says nothing after it is over."""
    poller = select.poll()
    poller.register(link, select.POLLIN)
    while not poller.poll(PATIENCE * 1000):
        if over.is_set():
            return False
    return True


def _tell(link: socket, how: Ended) -> None:
    if how.failure is not None:
        send(link, control_client.FAILED, (how.failure.message, how.failure.hint))
    else:
        send(link, control_client.ENDED, (how.status,))


def _quietly(work: Callable[[], None]) -> None:
    try:
        work()
    except OSError:
        pass  # who asked is gone
