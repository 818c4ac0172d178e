"""The messages between the commands of envbuild, an instance's supervisor and the processes that it keeps.

Each family lists all that one side may send (sandbox/codec.py). The names of messages on the control socket are those
of all versions: a supervisor goes on running while envbuild is updated.
"""

from __future__ import annotations

from envbuild.linux import signals as signal
from envbuild.record import values
from envbuild.sandbox.codec import Message, family, field_type
from envbuild.sandbox.spec import STREAMS, ExecCommand

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from envbuild.sandbox.spec import Request

    Seconds = float
    SentSignal = int

MAX_SECONDS = 1e9

field_type("Seconds", lambda value: type(value) in (int, float) and 0 <= value < MAX_SECONDS)
field_type("SentSignal", lambda value: type(value) is int and 0 < value < signal.NSIG)


# To a supervisor, on its control socket.


class ExecRequest(Message):
    """Run another command in the instance; its streams come with it."""

    kind = "enter"
    max_descriptors = STREAMS
    argv: tuple[str, ...]
    environment: tuple[tuple[str, str], ...]
    directory: str
    user: str
    terminal: bool

    @property
    def command(self) -> ExecCommand:
        """The command as the sandbox is asked for it."""
        return ExecCommand(*values(self))


class SignalRequest(Message):
    """Send a signal to the instance's command or, after ExecRequest, to the one that was asked for."""

    kind = "signal"
    signal: SentSignal


class StopRequest(Message):
    """Stop the instance; with None its own settings say how long that may take."""

    kind = "stop"
    seconds: Seconds | None


class WaitRequest(Message):
    """Wait until the instance is over."""

    kind = "wait"


class PauseRequest(Message):
    """Stop all processes of the instance until this connection ends."""

    kind = "pause"


class RootRequest(Message):
    """Open the instance's root directory."""

    kind = "root"


# What a supervisor answers.


class CommandEnded(Message):
    """The exit code of the command that was asked for."""

    kind = "ended"
    code: int


class RequestFailed(Message):
    """Why what was asked for can't be done."""

    kind = "failed"
    reason: str
    hint: str
    code: int = 1


class ExecTerminal(Message):
    """The master side of the command's terminal."""

    kind = "terminal"
    max_descriptors = 1


class Done(Message):
    """What was asked for is done; the root directory comes with it where that was asked for."""

    kind = "done"
    max_descriptors = 1


# Between who starts an instance in the background and its supervisor.


class Assignment(Message):
    """The task of a supervisor. The instance's lock comes with it, and so many sockets of its ports follow."""

    max_descriptors = 1
    identity: str
    name: str
    folder: str
    settings: dict[str, Any]
    sockets: int
    request: Request


class InstanceStarted(Message):
    """The command was started; the user is to be warned of `notes`."""

    notes: tuple[str, ...]


# Between a supervisor and the process that keeps the program of a private network.


class ConnectRequest(Message):
    """Connect a network; its namespace and that of its users come with it."""

    max_descriptors = 2


class ConnectResult(Message):
    """The network is connected, or `reason` says why not."""

    reason: str


if TYPE_CHECKING:
    ControlRequest = ExecRequest | SignalRequest | StopRequest | WaitRequest | PauseRequest | RootRequest
    ControlAnswer = CommandEnded | RequestFailed | ExecTerminal | Done

CONTROL_REQUESTS: dict[str, type[ControlRequest]] = family(
    ExecRequest, SignalRequest, StopRequest, WaitRequest, PauseRequest, RootRequest
)
CONTROL_ANSWERS: dict[str, type[ControlAnswer]] = family(CommandEnded, RequestFailed, ExecTerminal, Done)
ASSIGNMENT: dict[str, type[Assignment]] = family(Assignment)
START_ANSWERS: dict[str, type[InstanceStarted | RequestFailed]] = family(InstanceStarted, RequestFailed)
CONNECT_REQUESTS: dict[str, type[ConnectRequest]] = family(ConnectRequest)
CONNECT_RESULTS: dict[str, type[ConnectResult]] = family(ConnectResult)
