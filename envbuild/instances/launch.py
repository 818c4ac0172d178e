"""Launching: from an image and a configuration to an instance on record and the task of its supervisor.

Every command that starts an instance comes through here: `run`, `shell`, `start`, `clone`, and `up` for each of its
services. The caller decides which supervisor gets the task: its own process, or one in the background.
"""

from __future__ import annotations

import os

from envbuild.contexts import contextmanager
from envbuild.images.accounts import Homes
from envbuild.images.network_settings import NetworkSettings, network_settings
from envbuild.instances.config import NothingToRun, Settings, settings_of
from envbuild.instances.config import dump as dump_settings
from envbuild.instances.network import HOST_NETWORK, PRIVATE_NETWORK
from envbuild.instances.records import Instance, Instances, hold
from envbuild.instances.sandbox_request import check_workdir, prepare
from envbuild.instances.supervisor import Task
from envbuild.plan.image_config import Facts, dump, load
from envbuild.record import Pairs, Record
from envbuild.sandbox.user_namespace import enter_user_namespace
from envbuild.store.store import Store
from envbuild.tree.entry import Digest

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from envbuild.instances.background import Background
    from envbuild.instances.foreground import Ahead

_HOST_NAMES = ("/etc/hosts", "/etc/resolv.conf")
"""What the host says about names, which is true for its own network alone."""


class Machine(Record):
    """The host's settings that an instance sees if its network leads out: the user's variables for proxies and package
    indexes, and the user's home directory."""

    variables: Pairs = ()
    home: str = ""


class Origin(Record):
    """What an instance is made from: the image's digest ("" for a tree that is no image's), the name that the user gave
    for it, a tree, and the image's facts. `kept` is the name for the record, where that means it everywhere."""

    image: Digest
    reference: str
    tree: Digest
    facts: Facts
    kept: str = ""

    def command(self, argv: tuple[str, ...], entry: tuple[str, ...] | None = None) -> tuple[str, ...]:
        """Return what an instance runs: the image's entry, or `entry` in its place, and then `argv`, or the image's
        start command if that is empty. Raises NothingToRun."""
        command = self.facts.command(argv or None, entry)
        if not command:
            raise NothingToRun(self.reference)
        return command


class Launch(Record):
    """An instance whose task is ready for a supervisor. `lock` is the descriptor of its lock; `warnings` are for the
    user."""

    instance: Instance
    task: Task
    lock: int
    warnings: tuple[str, ...]


@contextmanager
def launch(
    store: Store,
    origin: Origin,
    config: Settings,
    machine: Machine,
    *,
    name: str | None = None,
    temporary: bool = False,
    keep_failed: bool = False,
    instances: Instances | None = None,
) -> Iterator[Launch]:
    """Put a new instance on record and prepare its task, which the `with` block hands to a supervisor.

    If preparing it or the block fails, the instance is removed, unless `keep_failed` is set. `instances` is where it is
    recorded if that is not the store. The process has one thread. Raises NameTaken, BadName, UsageError, StoreDamaged
    and kinds of MachineLacks.
    """
    _use(store)
    check_workdir(store, origin.tree, config)
    if not store.database.read_only:
        store.tidy()
        Instances.of(store.path).tidy()
    if instances is None:
        instances = Instances.of(store.path)
    if origin.facts.volumes and (not temporary or config.read_only) and not store.database.read_only:
        from envbuild.instances.own_volumes import with_own_volumes  # few images declare any

        stem = name or origin.reference.partition("@")[0].partition(":")[0].rpartition("/")[2]
        config = with_own_volumes(config, origin.facts, stem)
    instance, lock = instances.create(
        name,
        origin.image,
        origin.kept or origin.reference,
        origin.tree,
        dump(origin.facts),
        dump_settings(config),
        temporary=temporary,
    )
    try:
        task = _task(store, instance, config, origin.facts, machine)
        yield Launch(instance, task, lock, tuple(store.take_notes()))
    except BaseException:
        if not keep_failed:
            instances.remove(instance, volumes=True)
        raise
    finally:
        os.close(lock)


@contextmanager
def relaunch(store: Store, instance: Instance, machine: Machine, config: Settings | None = None) -> Iterator[Launch]:
    """Prepare the task of an instance that is over, with the files as it left them. The process has one thread.

    This once it runs as `config` says, if that is given; its record stays as it is. Raises UsageError and WorkFailed,
    StoreDamaged, and kinds of MachineLacks.
    """
    _use(store)
    lock = hold(instance)
    try:
        task = _task(store, instance, config or settings_of(instance), load(instance.facts), machine)
        yield Launch(instance, task, lock, tuple(store.take_notes()))
    finally:
        os.close(lock)


def launch_in_foreground(
    ahead: Ahead,
    store: Store,
    origin: Origin,
    config: Settings,
    machine: Machine,
    *,
    name: str | None = None,
    keep: bool = False,
    terminal: bool = False,
    tell: Callable[[tuple[str, ...]], None] = lambda notes: None,
) -> int:
    """Run a new instance with this process's streams or terminal; return the exit code of its command.

    It is removed when it is over, unless `keep` is set. In a store that can only be read the instance is recorded in a
    temporary directory, and its files can't be written. Raises what `launch` raises, SandboxFailure and PortTaken.
    """
    instances, private = Instances.of(store.path), None
    if store.database.read_only:
        import tempfile  # with all that it imports: for this alone

        private = tempfile.TemporaryDirectory(prefix="envbuild-")
        instances, config, keep = Instances(private.name), config.replace(read_only=True), False
    config = _with_home(store, origin.tree, config)
    try:
        with launch(
            store, origin, config, machine, name=name, temporary=not keep, keep_failed=keep, instances=instances
        ) as launched:
            tell(launched.warnings)
            from envbuild.instances.foreground import run_in_foreground

            late = store.stacks.late()
            code = run_in_foreground(launched.task, ahead, late, terminal=terminal, tell=tell)
            if not keep:
                instances.remove(launched.instance)
            return code
    finally:
        if private is not None:
            private.cleanup()


def launch_in_background(
    background: Background,
    store: Store,
    origin: Origin,
    config: Settings,
    machine: Machine,
    *,
    name: str | None = None,
    temporary: bool = False,
) -> tuple[Instance, tuple[str, ...]]:
    """Start a new instance under a supervisor that waits for it; return it, with warnings for the user.

    Raises what `launch` raises, and StartFailed.
    """
    config = _with_home(store, origin.tree, config)
    with launch(store, origin, config, machine, name=name, temporary=temporary) as launched:
        return launched.instance, (*launched.warnings, *background.start(launched.task, launched.lock))


def relaunch_in_background(
    background: Background, store: Store, instance: Instance, machine: Machine
) -> tuple[str, ...]:
    """Start an instance that is over under a supervisor that waits for it; return warnings for the user.

    Raises what `relaunch` raises, and StartFailed.
    """
    with relaunch(store, instance, machine) as launched:
        return (*launched.warnings, *background.start(launched.task, launched.lock))


def relaunch_in_foreground(
    ahead: Ahead,
    store: Store,
    instance: Instance,
    config: Settings,
    machine: Machine,
    *,
    terminal: bool,
    tell: Callable[[tuple[str, ...]], None],
) -> int:
    """Run an instance that is over once more, as `config` says, with this process's streams or terminal; return the
    exit code of its command. The instance stays.

    Raises what `relaunch` raises, SandboxFailure and PortTaken.
    """
    with relaunch(store, instance, machine, config) as launched:
        tell(launched.warnings)
        from envbuild.instances.foreground import run_in_foreground

        return run_in_foreground(launched.task, ahead, store.stacks.late(), terminal=terminal, tell=tell)


def _use(store: Store) -> None:
    """Keep the store's layers until they are mounted, and say whether owners show in it."""
    store.share()
    # Usually entered already: then this only says of which kind it is.
    store.owners_observable = enter_user_namespace().kind != "single"


def _with_home(store: Store, tree: Digest, config: Settings) -> Settings:
    # First: what a store without owners holds of other owners' files would seem to be damaged.
    _use(store)
    return config.replace(home=Homes(store).of(tree, config.user))


def _task(store: Store, instance: Instance, config: Settings, facts: Facts, machine: Machine) -> Task:
    seen = _seen(store, instance, config, machine)
    config = config.replace(environment=(*seen.environment, *config.environment))
    request = prepare(store, instance, config, facts, seen)
    return Task(instance.identity, instance.name, instance.path, config, request)


def _seen(store: Store, instance: Instance, config: Settings, machine: Machine) -> NetworkSettings:
    """Return what the instance sees of the machine's network settings."""
    if config.network not in (HOST_NETWORK, PRIVATE_NETWORK):
        return NetworkSettings()
    settings = network_settings(store, instance.tree, machine.variables, machine.home)
    if config.network == HOST_NETWORK:
        return settings
    return settings.replace(binds=tuple(bind for bind in settings.binds if bind[1] not in _HOST_NAMES))
