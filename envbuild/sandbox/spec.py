"""What a sandbox is asked for and how it ends: plain frozen data that crosses a process boundary."""

from __future__ import annotations

from envbuild.errors import WorkFailed, fields
from envbuild.record import Record

TYPE_CHECKING = False
if TYPE_CHECKING:
    from envbuild.trace.observed import Observed

OF_TREE, OVER_TREE = "tree", "over"
"""What /tmp is where the tree has something in it: the tree's own, or that with all changes on a tmpfs."""
STREAMS = 3
"""Standard input, output and errors."""
LOCAL_ADDRESS = "127.0.0.1"
PROXY_ADDRESS = (LOCAL_ADDRESS, 31280)
"""Where a `proxied` sandbox finds its proxy: below the ports that the kernel gives out, and nobody's by custom."""


CANNOT_EXECUTE, NO_PROGRAM = 126, 127
"""The exit codes of a shell where a command can't be executed, and where there is none of that name."""


class SandboxFailure(WorkFailed):
    """The sandbox could not be set up, or the command in it could not be started: the base of the kinds of this."""


@fields
class FailedInside(SandboxFailure):
    """What another process of the sandbox or a supervisor says that it failed at."""

    reason: str
    mend: str

    def text(self) -> tuple[str, str]:
        return self.reason, self.mend


def failed_inside(reason: str, hint: str, code: int) -> FailedInside:
    """Return what another process failed at, with the exit code that it gives."""
    failure = FailedInside(reason, hint)
    failure.exit_code = told_exit_code(code)
    return failure


def told_exit_code(code: int) -> int:
    """Return the exit code of a failure that another process tells of: it may be hostile, and never told of success."""
    return code if code in (CANNOT_EXECUTE, NO_PROGRAM) else SandboxFailure.exit_code


@fields
class NotArrived(SandboxFailure):
    """The descriptors that belong to an order are missing."""

    what: str

    def text(self) -> tuple[str, str]:
        return f"{self.what} did not arrive", "run the same command again"


class Bind(Record):
    """A host path that shows at `target` inside. `source` is absolute and without links; a file or a directory, or with
    `device` one that can be used as such inside, too."""

    source: str
    target: str
    read_only: bool = True
    device: bool = False


class Scratch(Record):
    """An empty tmpfs at `target` that ends with the sandbox; `size` in bytes, 0 for the kernel's own limit."""

    target: str
    size: int = 0
    mode: int = 0o1777


class Door(Record):
    """A server outside that the programs of a `proxied` sandbox connect to by its name: inside, that is the name of
    `address`, where a socket listens at the server's own port."""

    name: str
    address: str
    port: int


MAX_DOORS = 16
"""Of one sandbox."""


class Secret(Record):
    """A file /run/secrets/NAME on a tmpfs that ends with the sandbox."""

    name: str
    content: bytes


class Request(Record):
    """One command on one mounted tree.

    `layers` are directories that overlayfs mounts, topmost first, at least one. `upper` takes what the command
    writes and `work` is overlayfs' own (both on one file system, both empty directories); with None for both the
    root is read-only. `fixed` are directories of the tree that can't be written. Where there is one layer, they and a
    read-only root are shown without overlayfs. `user` is "" for root, or `NAME[:GROUP]` or numbers, looked up in
    /etc/passwd and /etc/group of the mounted tree. `directory` must exist inside. `timeout` is in seconds.
    `network` shares the network of the caller; else there is a loopback only. A `proxied` one has a socket there that
    listens at PROXY_ADDRESS, and one for each of its `doors`, which whoever asked for the run gets (Helper.run). With
    `names` the tree, which has a directory /etc, is shown with an /etc/hosts that has the host name and the names of
    the doors (hosts.py). With `terminal` the command gets a terminal of its own.
    `attached` means that its own network is connected to something before the command starts, by whoever asked for
    the run (Session.connect).
    With `serve` process 1 starts other commands beside it when it is asked to (exec_server.py).
    An `unfiltered` one has no system call filter, but for that of a single id (seccomp.py).
    With `as_init` the command is process 1 of a process namespace of its own (own_init.py), and sees at /sys/fs/cgroup
    the control group whose path ends with `group`, if one is given.
    `tmp` is OF_TREE or OVER_TREE, "" for an empty tmpfs at /tmp.
    What a `traced` one asks of its tree is noted (Outcome.observed); only what a step server runs can be.
    What a `lasting` one wrote is there again after a crash of the machine, as far as it was synced.
    """

    layers: tuple[str, ...]
    argv: tuple[str, ...]
    environment: tuple[tuple[str, str], ...] = ()
    upper: str | None = None
    work: str | None = None
    fixed: tuple[str, ...] = ()
    unfiltered: bool = False
    directory: str = "/"
    user: str = ""
    network: bool = False
    proxied: bool = False
    names: bool = False
    binds: tuple[Bind, ...] = ()
    scratch: tuple[Scratch, ...] = ()
    secrets: tuple[Secret, ...] = ()
    timeout: float | None = None
    terminal: bool = False
    hostname: str = "envbuild"
    serve: bool = False
    lasting: bool = False
    attached: bool = False
    as_init: bool = False
    group: str = ""
    tmp: str = ""
    doors: tuple[Door, ...] = ()
    traced: bool = False

    @property
    def hosts(self) -> tuple[tuple[str, str], ...]:
        """The addresses of the sandbox's own with their names, each once."""
        return (LOCAL_ADDRESS, self.hostname), *dict.fromkeys((door.address, door.name) for door in self.doors)


class ExecCommand(Record):
    """Another command beside the one of a running sandbox: the fields are those of Request."""

    argv: tuple[str, ...]
    environment: tuple[tuple[str, str], ...] = ()
    directory: str = "/"
    user: str = ""
    terminal: bool = False


class Outcome(Record):
    """How it ended.

    `status` is the exit status, or 128 + the signal's number. `made` are mount points that the mounted tree
    lacked and that had to be made in `upper`: a snapshot leaves them out while they are empty. `owners_kept` is
    False when the single-id mode answered a change of owner or id without doing it. `observed` is what a traced one
    asked of its tree; None where it was ended before that was known.
    """

    status: int
    signal: int = 0
    timed_out: bool = False
    seconds: float = 0.0
    made: tuple[str, ...] = ()
    owners_kept: bool = True
    observed: Observed | None = None
