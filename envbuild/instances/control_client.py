"""How commands reach the supervisor of an instance: a socket in the instance's folder, for its owner alone."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from socket import AF_UNIX, SOCK_STREAM, socket

from envbuild.errors import WorkFailed, fields
from envbuild.instances.records import DamagedInstance, Instance
from envbuild.linux import signals as signal
from envbuild.sandbox.codec import BadMessage
from envbuild.sandbox.failure import SandboxFailure
from envbuild.sandbox.messages import Shape, fits
from envbuild.sandbox.spec import Entry
from envbuild.sandbox.wire import Message, close_all, receive, send

SOCKET = "control"
ENTER, SIGNAL, STOP, WAIT, PAUSE, ROOT = "enter", "signal", "stop", "wait", "pause", "root"
PATIENCE = 10.0
"""Seconds until a supervisor that does not answer is taken for one that hangs."""
ENDED, FAILED, TERMINAL, DONE = "ended", "failed", "terminal", "done"
_ANSWERS: dict[str, Shape] = {ENDED: (int,), FAILED: (str, str), TERMINAL: (), DONE: ()}
_NEVER: Shape = (int, bytes)  # what no answer says


@fields
class NotRunning(WorkFailed):
    """The instance is over."""

    name: str

    def text(self) -> tuple[str, str]:
        return f"{self.name} is not running", f"start it again: envbuild start {self.name}"


@fields
class NotAnswering(WorkFailed):
    """The supervisor of an instance lives, and does not answer."""

    name: str

    def text(self) -> tuple[str, str]:
        return f"{self.name} runs, but its supervisor does not answer", f"end it: envbuild kill {self.name}"


class Refused(WorkFailed):
    """The supervisor answers that it cannot do this now."""


def _hear(link: socket) -> Message | None:
    """Return the next answer of a supervisor, None when it is gone. Raises BadMessage for what it never says."""
    message = receive(link)
    if message is not None and not fits(message[1], _ANSWERS.get(message[0], _NEVER)):
        close_all(message[2])
        raise BadMessage(f"'{message[0][:40]}' does not come so")
    return message


def connect(instance: Instance | DamagedInstance) -> socket:
    """Return a connection to the supervisor. Raises NotRunning and NotAnswering."""
    link = socket(AF_UNIX, SOCK_STREAM)
    latest = time.monotonic() + PATIENCE
    try:
        # Through a descriptor: a socket's path may have 108 bytes only (unix(7)), and a store lies where it lies.
        folder = os.open(instance.path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            link.setblocking(False)
            while not _connected(link, f"/proc/self/fd/{folder}/{SOCKET}"):
                if time.monotonic() > latest:
                    raise NotAnswering(instance.name)
                time.sleep(0.05)
            link.setblocking(True)
        finally:
            os.close(folder)
    except OSError as error:
        link.close()
        raise NotRunning(instance.name) from error
    except NotAnswering:
        link.close()
        raise
    return link


def _connected(link: socket, path: str) -> bool:
    """Connect; return False where as many wait already as may (unix(7), listen(2))."""
    try:
        link.connect(path)
    except BlockingIOError:
        return False
    return True


def ask(
    instance: Instance | DamagedInstance, kind: str, payload: tuple[object, ...] = (), *, seconds: float | None = None
) -> tuple[object, ...]:
    """Ask for something and wait until it is done, at most so long; the answer.

    Raises NotRunning, NotAnswering and Refused.
    """
    with connect(instance) as link:
        try:
            link.settimeout(seconds)
            send(link, kind, payload)
            answer = _hear(link)
        except TimeoutError as error:
            raise NotAnswering(instance.name) from error
        except OSError as error:
            raise NotRunning(instance.name) from error  # it ended while it was asked
    if answer is None:
        raise NotRunning(instance.name)
    if answer[0] == FAILED:
        raise Refused(f"{instance.name}: {answer[1][0]}", str(answer[1][1]))
    return answer[1]


def root_of(instance: Instance) -> int:
    """Return a descriptor of a running instance's root directory, for whoever closes it. Raises NotRunning."""
    with connect(instance) as link:
        try:
            send(link, ROOT, ())
            answer = _hear(link)
        except OSError as error:
            raise NotRunning(instance.name) from error
    if answer is not None and answer[0] == FAILED:
        raise Refused(f"{instance.name}: {answer[1][0]}", str(answer[1][1]))
    if answer is None or not answer[2]:
        raise NotRunning(instance.name)
    return answer[2][0]


@contextmanager
def paused(instance: Instance) -> Iterator[None]:
    """Meanwhile nothing runs in the instance, so that its files stand still; nothing to do for one that is over."""
    try:
        link = connect(instance)
    except NotRunning:
        yield
        return
    with link:
        send(link, PAUSE, ())
        answer = _hear(link)
        if answer is not None and answer[0] == FAILED:
            raise Refused(f"{instance.name}: {answer[1][0]}", str(answer[1][1]))
        yield


def enter(
    instance: Instance,
    entry: Entry,
    streams: Sequence[int],
    *,
    terminal: Callable[[int], None] = os.close,
    running: Callable[[Callable[[int], None]], None] = lambda send_signal: None,
) -> int:
    """Run another command in a running instance; return its exit code.

    `terminal` is called with the master side of its terminal, `running` with a function that sends it a signal. Raises
    NotRunning and SandboxFailure.
    """
    with connect(instance) as link:
        payload = (entry.argv, entry.environment, entry.directory, entry.user, entry.terminal)
        send(link, ENTER, payload, streams)
        running(lambda number: send(link, SIGNAL, (number,)))
        while (answer := _hear(link)) is not None:
            kind, found, descriptors = answer
            if kind == TERMINAL and descriptors:
                terminal(descriptors[0])
            elif kind == FAILED:
                raise SandboxFailure(str(found[0]), str(found[1]))
            elif kind == ENDED:
                return int(found[0])
    return 128 + signal.SIGKILL
