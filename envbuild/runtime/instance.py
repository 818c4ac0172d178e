"""A throw-away instance: one command on an image's tree, in the foreground; its changes end with it."""

from __future__ import annotations

from collections.abc import Callable

from envbuild.engine.home import Homes
from envbuild.engine.machine_network import NetworkSettings, binds_of
from envbuild.errors import UsageError
from envbuild.plan.facts import Facts
from envbuild.record import Record
from envbuild.sandbox.helper import Helper
from envbuild.sandbox.request import Bind, Outcome, Request
from envbuild.store.store import Store
from envbuild.tree.entry import DIRECTORY, Digest
from envbuild.tree.forest import lookup

SHELLS = ("/bin/bash", "/usr/bin/bash", "/bin/sh", "/usr/bin/sh")


class Launch(Record):
    """What to run and how it differs from what the image says. None and () mean: as the image says."""

    tree: Digest
    facts: Facts
    argv: tuple[str, ...] = ()
    environment: tuple[tuple[str, str], ...] = ()
    binds: tuple[Bind, ...] = ()
    user: str | None = None
    workdir: str | None = None
    network: bool = False
    network_settings: NetworkSettings = NetworkSettings()
    terminal: bool = False


class NothingToRun(UsageError):
    """The image says no start command, and none was given."""

    def __init__(self, reference: str) -> None:
        super().__init__(
            f"{reference} has no start command", f"give one: envbuild run {reference} -- COMMAND, or envbuild shell"
        )


class NoShell(UsageError):
    """`shell` on a tree without one."""

    def __init__(self, reference: str) -> None:
        super().__init__(f"{reference} has no shell", f"run a program that it has: envbuild run {reference} -- PROGRAM")


def shell_of(store: Store, tree: Digest, reference: str) -> str:
    """The shell that a tree has. Raises NoShell."""
    for path in SHELLS:
        if lookup(store.trees, tree, path.strip("/").encode()) is not None:
            return path
    raise NoShell(reference)


def launch(
    helper: Helper,
    store: Store,
    what: Launch,
    *,
    stdin: int,
    output: int,
    errors: int,
    mounted: Callable[[], None] = lambda: None,
    terminal: Callable[[int], None] | None = None,
    running: Callable[[Callable[[int], None]], None] | None = None,
) -> Outcome:
    """Runs the command and returns when it has ended with all that it started.

    `mounted` is called when the layers are known; `terminal` gets the master side of its terminal; `running` is
    called with a function that sends it a signal. Raises SandboxFailure, StoreDamaged and MachineLacks kinds.
    """
    store.share()
    store.owners_observable = helper.ids.kind != "single"
    if store.database.read_only:
        return _run(helper, _request(store, what, store.layers(what.tree)), stdin, output, errors, terminal, running)
    store.tidy()
    layers = store.layers(what.tree)
    mounted()
    with store.workspace(what.tree) as space:
        binds = (*what.binds, *binds_of(what.network_settings, space.path))
        request = _request(store, what, layers).replace(upper=space.upper, work=space.work, binds=binds)
        return _run(helper, request, stdin, output, errors, terminal, running)


def _request(store: Store, what: Launch, layers: tuple[str, ...]) -> Request:
    facts = what.facts
    user = facts.user if what.user is None else what.user
    workdir = facts.workdir if what.workdir is None else what.workdir
    parameters = facts.start.parameters if facts.start is not None and what.argv == facts.start.argv else ()
    environment = {
        "HOME": Homes(store).of(what.tree, user),
        **facts.environment_of_commands(),
        **dict(parameters),
        **dict(what.environment),
    }
    entry = lookup(store.trees, what.tree, workdir.strip("/").encode())
    if (entry is None or entry.kind != DIRECTORY) and not any(
        workdir == bind.target or workdir.startswith(bind.target.rstrip("/") + "/") for bind in what.binds
    ):
        raise UsageError(f"the working directory {workdir} is not in the tree", "choose another one with --workdir")
    return Request(
        layers=layers,
        argv=what.argv,
        environment=tuple(environment.items()),
        directory=workdir,
        user=user,
        network=what.network,
        binds=what.binds,
        terminal=what.terminal,
    )


def _run(
    helper: Helper,
    request: Request,
    stdin: int,
    output: int,
    errors: int,
    terminal: Callable[[int], None] | None,
    running: Callable[[Callable[[int], None]], None] | None,
) -> Outcome:
    def started(number: int) -> None:
        if running is not None:
            running(lambda signal: helper.signal(number, signal))

    return helper.run(request, stdin=stdin, output=output, errors=errors, terminal=terminal, started=started)
