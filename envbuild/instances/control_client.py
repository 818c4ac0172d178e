"""How commands reach the supervisor of an instance: a socket in the instance's folder, for its owner alone."""

from __future__ import annotations

import os
import time
from _thread import start_new_thread

from envbuild.contexts import contextmanager
from envbuild.errors import EnvbuildError, WorkFailed, fields
from envbuild.instances.messages import (
    CONTROL_ANSWERS,
    CommandEnded,
    Done,
    ExecRequest,
    ExecTerminal,
    PauseRequest,
    RequestFailed,
    RootRequest,
    SignalRequest,
    StopRequest,
)
from envbuild.instances.records import DamagedInstance, Instance
from envbuild.linux import signals as signal
from envbuild.linux.sockets import AF_UNIX, SOCK_STREAM, socket
from envbuild.record import assert_never, values
from envbuild.sandbox.spec import ExecCommand, failed_inside
from envbuild.sandbox.wire import close_all, receive, send

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from envbuild.instances.messages import ControlRequest

SOCKET = "control"
_FORWARDED = (
    *(signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT, signal.SIGUSR1, signal.SIGUSR2),
    *(signal.SIGALRM, signal.SIGSTKFLT, signal.SIGIO, signal.SIGPWR),
    *range(signal.SIGRTMIN, signal.SIGRTMAX + 1),
)
PATIENCE = 10.0
"""Seconds until a supervisor that does not answer is taken for one that hangs."""


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


@fields
class Refused(WorkFailed):
    """The supervisor answers that it cannot do this now."""

    name: str
    reason: str
    mend: str

    def text(self) -> tuple[str, str]:
        return f"{self.name}: {self.reason}", self.mend


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


def forward_signals(send: Callable[[int], None]) -> None:
    """Forward signals to the command from here on, as if this process did not stand between.

    Not those that are about this process itself: its faults, timers, children and job control, and the size of its
    terminal, at which httpd would end. Whoever has no terminal sends WINCH on purpose.
    """
    for number in (*_FORWARDED, *(() if _has_terminal() else (signal.SIGWINCH,))):
        in_thread_on_signal(number, send)


def in_thread_on_signal(number: int, act: Callable[[int], None]) -> None:
    """Have a thread call `act` with the number of this signal when it comes: what was interrupted by the signal may
    hold a lock that `act` needs."""

    def quietly(number: int) -> None:
        try:
            act(number)
        except (OSError, EnvbuildError):
            pass  # it is over

    signal.signal(number, lambda number, _frame: start_new_thread(quietly, (number,)))


def _has_terminal() -> bool:
    try:
        os.close(os.open("/dev/tty", os.O_RDONLY | os.O_CLOEXEC | os.O_NOCTTY))
    except OSError:
        return False
    return True


def _connected(link: socket, path: str) -> bool:
    """Connect; return False where as many wait already as may (unix(7), listen(2))."""
    try:
        link.connect(path)
    except BlockingIOError:
        return False
    return True


def stop(instance: Instance, seconds: float | None) -> None:
    """End the command of an instance, which has so long until it is killed; wait until it is over. Nothing happens to
    one that has ended already. Raises Refused."""
    try:
        ask(instance, StopRequest(seconds))
    except NotRunning:
        pass


def ask(instance: Instance | DamagedInstance, request: ControlRequest, *, seconds: float | None = None) -> int:
    """Send a request and wait until it is done, at most so long; return the exit code of the instance's command if
    that is over. Raises NotRunning, NotAnswering and Refused."""
    with connect(instance) as link:
        try:
            link.settimeout(seconds)
            send(link, request)
            received = receive(link, CONTROL_ANSWERS)
        except TimeoutError as error:
            raise NotAnswering(instance.name) from error
        except OSError as error:
            raise NotRunning(instance.name) from error  # it ended while it was asked
    if received is None:
        raise NotRunning(instance.name)
    answer, descriptors = received
    close_all(descriptors)
    match answer:
        case RequestFailed():
            raise _refused(instance, answer)
        case CommandEnded(code):
            return code
        case Done() | ExecTerminal():
            pass
        case _:
            assert_never(answer)
    return 0


def _refused(instance: Instance | DamagedInstance, failed: RequestFailed) -> Refused:
    return Refused(instance.name, failed.reason, failed.hint)


def root_of(instance: Instance) -> int:
    """Return a descriptor of a running instance's root directory, for whoever closes it. Raises NotRunning."""
    with connect(instance) as link:
        try:
            send(link, RootRequest())
            received = receive(link, CONTROL_ANSWERS)
        except OSError as error:
            raise NotRunning(instance.name) from error
    if received is None:
        raise NotRunning(instance.name)
    answer, descriptors = received
    if isinstance(answer, RequestFailed):
        raise _refused(instance, answer)
    if not descriptors:
        raise NotRunning(instance.name)
    return descriptors[0]


@contextmanager
def paused(instance: Instance) -> Iterator[None]:
    """Meanwhile nothing runs in the instance, so that its files stand still; nothing to do for one that is over."""
    try:
        link = connect(instance)
    except NotRunning:
        yield
        return
    with link:
        send(link, PauseRequest())
        received = receive(link, CONTROL_ANSWERS)
        if received is not None and isinstance(received[0], RequestFailed):
            raise _refused(instance, received[0])
        yield


def enter(
    instance: Instance,
    entry: ExecCommand,
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
        send(link, ExecRequest(*values(entry)), streams)
        running(lambda number: send(link, SignalRequest(number)))
        while (received := receive(link, CONTROL_ANSWERS)) is not None:
            answer, descriptors = received
            match answer:
                case ExecTerminal():
                    if descriptors:
                        terminal(descriptors[0])
                case RequestFailed(reason, hint, code):
                    raise failed_inside(reason, hint, code)
                case CommandEnded(code):
                    return code
                case Done():
                    close_all(descriptors)  # the answer to a signal
                case _:
                    assert_never(answer)
    return 128 + signal.SIGKILL
