"""The messages between the main process, the helper, a sandbox's process 1 and the process of its command.

Each family lists all that one side may send. Who reads a family matches over its union and ends in assert_never.
Process 1 may have been taken over by what runs in its sandbox: a reader of ANSWERS relies on what the types say
here, and on nothing else.
"""

from __future__ import annotations

from envbuild.linux import signals as signal
from envbuild.sandbox.codec import Message, family, field_type
from envbuild.sandbox.spec import MAX_DOORS, STREAMS

TYPE_CHECKING = False
if TYPE_CHECKING:
    from envbuild.sandbox.spec import ExecCommand, Request

    Protocol = str
    Status = int
    SignalNumber = int

MAX_STATUS = 255
MAX_RUN_DESCRIPTORS = 250
"""How many descriptors come with the request of a step: the kernel takes 253 at a time (unix(7), SCM_MAX_FD)."""
FIRST_COMMAND = 0
"""The number of a sandbox's first command; those that are entered have others."""
MAX_SOCKETS = 8
"""How many sockets come with one message."""

field_type("Protocol", lambda value: value in ("tcp", "udp"))
field_type("Status", lambda value: type(value) is int and 0 <= value <= MAX_STATUS)
field_type("SignalNumber", lambda value: type(value) is int and 0 <= value < signal.NSIG)


# From the main process to the helper.


class Start(Message):
    """Run a command in a sandbox; its streams and the socket of the run come with it.

    `network` shares the network of the caller. With `report_pid` the helper answers which process is the sandbox's
    first before anything is run in it. `timeout` is in seconds, 0 for none.
    """

    max_descriptors = STREAMS + 1
    number: int
    network: bool
    report_pid: bool
    timeout: float


class ServeSteps(Message):
    """Start a step server; the socket on which steps are asked for comes with it."""

    max_descriptors = 1
    number: int


class Signal(Message):
    """Send a signal: to the sandbox of a run (the helper), to FIRST_COMMAND or to one that was entered (process 1)."""

    number: int
    signal: SignalNumber


class KillAll(Message):
    """End all runs."""


# From the helper to the main process.


class Namespace(Message):
    """The user namespace that has the sandboxes' ids: said first where ids are shifted."""

    max_descriptors = 1


class Process(Message):
    """The answer to `report_pid`, on the socket of the run."""

    pid: int


class TimedOut(Message):
    """The helper ends the run, which took too long."""


class Failed(Message):
    """Why the sandbox could not be set up or the command not be started; `code` is for spec.told_exit_code."""

    reason: str
    hint: str
    code: int = 1


# From the main process to process 1.


class Run(Message):
    """The command to run. For a step server the pipe of its output comes with it, and the sources of its mounts
    (idmapped_mounts.py)."""

    max_descriptors = MAX_RUN_DESCRIPTORS
    request: Request


class Enter(Message):
    """Start another command; its streams come with it."""

    max_descriptors = STREAMS
    number: int
    command: ExecCommand


class OpenSockets(Message):
    """Make so many sockets in the sandbox's network."""

    protocol: Protocol
    count: int


class Pause(Message):
    """Stop all processes of the sandbox, or let them go on."""

    stop: bool


class Connected(Message):
    """The sandbox's network is connected to others, or `reason` says why not."""

    reason: str
    hint: str


class OpenRoot(Message):
    """Open the root directory."""

    number: int


# From process 1 to the main process.


class Terminal(Message):
    """The master side of the command's terminal."""

    max_descriptors = 1


class Listener(Message):
    """The sockets that listen inside for a request that is `proxied`: at PROXY_ADDRESS, and those of its doors. Sent
    before the command is started."""

    max_descriptors = 1 + MAX_DOORS


class Running(Message):
    """The command of a request with `serve` was executed."""


class Ended(Message):
    """How the command ended; `made` as in Outcome."""

    status: Status
    signal: SignalNumber
    made: tuple[str, ...]


class Bug(Message):
    """Something in envbuild's own code in the sandbox went wrong."""

    traceback: str


class EnteredTerminal(Message):
    """The master side of the terminal of a command that was entered."""

    max_descriptors = 1
    number: int


class EnteredEnded(Message):
    """How a command that was entered ended."""

    number: int
    status: Status
    signal: SignalNumber


class EnteredFailed(Message):
    """Why a command could not be entered; `code` is for spec.told_exit_code."""

    number: int
    reason: str
    hint: str
    code: int = 1


class Sockets(Message):
    """The answer to `count` of the sockets asked for; fewer come where no more files can be opened."""

    max_descriptors = MAX_SOCKETS
    protocol: Protocol
    count: int


class Paused(Message):
    """The answer to Pause."""


class Network(Message):
    """The sandbox's network, to be connected: a netlink socket, the network namespace and the user namespace."""

    max_descriptors = 3


class Root(Message):
    """The root directory."""

    max_descriptors = 1
    number: int


# From a step server to the main process.


class StepStarted(Message):
    """The step's process 1 has its orders; the socket comes with it on which that says how the command ended. `made` as
    in Outcome, `chdir` is the number of the order that changes into the working directory (child_orders.py)."""

    max_descriptors = 1
    made: tuple[str, ...]
    chdir: int


# From process 1 to the process that becomes a command.


class Execute(Message):
    """The command to become: `paths` are where its program may be. Its streams come with it."""

    max_descriptors = STREAMS
    paths: tuple[str, ...]
    argv: tuple[str, ...]
    environment: tuple[tuple[str, str], ...]
    directory: str
    uid: int
    gid: int
    groups: tuple[int, ...]
    terminal: str | None
    unfiltered: bool


class Traced(Message):
    """What a traced step asked of its tree, as a file of `size` bytes (trace/observed.py): comes when it is over. With
    a text in `problem` there is none."""

    max_descriptors = 1
    size: int
    problem: str


if TYPE_CHECKING:
    Order = Start | ServeSteps | Signal | KillAll
    Question = Enter | Signal | OpenSockets | Pause | Connected | OpenRoot
    EnteredAnswer = EnteredTerminal | EnteredEnded | EnteredFailed
    ExecAnswer = EnteredAnswer | Sockets | Paused | Network | Root
    StepAnswer = StepStarted | Traced | Failed | Bug
    Answer = Process | TimedOut | Failed | Terminal | Listener | Running | Ended | Bug | ExecAnswer

ORDERS: dict[str, type[Order]] = family(Start, ServeSteps, Signal, KillAll)
HELPER_ANSWERS: dict[str, type[Namespace | Failed]] = family(Namespace, Failed)
RUN: dict[str, type[Run]] = family(Run)
QUESTIONS: dict[str, type[Question]] = family(Enter, Signal, OpenSockets, Pause, Connected, OpenRoot)
ANSWERS: dict[str, type[Answer]] = family(
    Process,
    TimedOut,
    Failed,
    Terminal,
    Listener,
    Running,
    Ended,
    Bug,
    EnteredTerminal,
    EnteredEnded,
    EnteredFailed,
    Sockets,
    Paused,
    Network,
    Root,
)
STEP_ANSWERS: dict[str, type[StepAnswer]] = family(StepStarted, Traced, Failed, Bug)
EXECUTE: dict[str, type[Execute]] = family(Execute)
