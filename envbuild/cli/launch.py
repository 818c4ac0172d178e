"""Putting an instance on record and running it, for `run`, `shell` and `start`."""

from __future__ import annotations

import argparse
import os
from collections.abc import Iterator
from contextlib import contextmanager

from envbuild.build.named_image import find_image
from envbuild.cli.environment import Environment
from envbuild.cli.run_settings import settings_from
from envbuild.images.home import Homes
from envbuild.images.image_facts import facts_of
from envbuild.images.network_settings import NetworkSettings, network_settings
from envbuild.instances.config import HOST_NETWORK, PRIVATE_NETWORK, NothingToRun, Settings, settings_of
from envbuild.instances.config import dump as dump_settings
from envbuild.instances.records import Instance, Instances, hold
from envbuild.instances.sandbox_request import check_workdir, prepare
from envbuild.instances.supervisor import Task
from envbuild.plan.image_config import Facts, dump, load
from envbuild.store.images import Image
from envbuild.store.store import Store
from envbuild.tree.entry import Digest

TYPE_CHECKING = False
if TYPE_CHECKING:
    from envbuild.instances.ahead import Ahead
    from envbuild.instances.background import Background


def run_image(ahead: Ahead, arguments: argparse.Namespace, environment: Environment) -> int:
    """Runs an image's start command, or the one that was given; returns its exit code."""
    with Store.open(environment.store_path(), create=False, writable=arguments.writable) as store:
        image = find_image(store, arguments.image)
        facts = facts_of(image)
        argv = _command(arguments, facts)
        return run_tree(ahead, store, image.digest, image.tree, facts, argv, arguments, environment)


def run_tree(
    ahead: Ahead,
    store: Store,
    image: Digest,
    tree: Digest,
    facts: Facts,
    argv: tuple[str, ...],
    arguments: argparse.Namespace,
    environment: Environment,
) -> int:
    """Runs `argv` on a tree as the options say, with the user's own terminal or streams; returns its exit code."""
    store.share()
    store.owners_observable = ahead.helper.ids.kind != "single"
    terminal = not arguments.no_tty and environment.stdin.isatty() and environment.stdout.isatty()
    settings = _with_home(store, tree, settings_from(arguments, environment, facts, argv))
    if terminal and "TERM" not in dict(settings.environment):
        settings = settings.replace(
            environment=(*settings.environment, ("TERM", environment.variables.get("TERM", "xterm")))
        )
    keep = getattr(arguments, "keep", False)
    environment.stdout.flush()
    with _recorded(store, image, tree, facts, settings, arguments, temporary=not keep) as (instance, settings):
        task, notes = _task(store, instance, settings, facts, environment)
        _warn(notes, environment)
        from envbuild.instances.foreground import run_in_foreground

        return run_in_foreground(task, ahead, terminal=terminal, tell=lambda notes: _warn(notes, environment))


@contextmanager
def _recorded(
    store: Store,
    image: Digest,
    tree: Digest,
    facts: Facts,
    settings: Settings,
    arguments: argparse.Namespace,
    *,
    temporary: bool,
) -> Iterator[tuple[Instance, Settings]]:
    """An instance on record as long as it runs in the foreground; in the end it is removed if it is `temporary`."""
    check_workdir(store, tree, settings)
    instances, own = store.instances, None
    if store.database.read_only:
        # Nothing of it can be kept in a store that may only be read.
        import tempfile  # with all that it imports: for this alone

        own = tempfile.TemporaryDirectory(prefix="envbuild-")
        instances, settings, temporary = Instances(own.name), settings.replace(read_only=True), True
    else:
        store.tidy()
    reference = arguments.image or "failed"
    instance, lock = instances.create(
        arguments.name, image, reference, tree, dump(facts), dump_settings(settings), temporary=temporary
    )
    try:
        yield instance, settings
    finally:
        if temporary:
            instances.remove(instance)
        os.close(lock)
        if own is not None:
            own.cleanup()


def run_detached(background: Background, arguments: argparse.Namespace, environment: Environment) -> int:
    """Puts an instance on record and has it run; prints its name when its command was started."""
    with Store.open(environment.store_path(), create=False, writable=arguments.writable) as store:
        _share(store)
        image = find_image(store, arguments.image)
        facts = facts_of(image)
        settings = settings_from(arguments, environment, facts, _command(arguments, facts))
        start_new(
            background, store, image, arguments.image, facts, settings, arguments.name, environment, rm=arguments.rm
        )
    return 0


def start_new(
    background: Background,
    store: Store,
    image: Image,
    reference: str,
    facts: Facts,
    settings: Settings,
    name: str | None,
    environment: Environment,
    *,
    tree: Digest | None = None,
    rm: bool = False,
) -> Instance:
    """A new instance in the background, of `tree` if that is not the image's; its name is printed. One that can't be
    started leaves no trace."""
    tree = tree or image.tree
    settings = _with_home(store, tree, settings)
    check_workdir(store, tree, settings)
    store.tidy()
    instance, lock = store.instances.create(
        name, image.digest, reference, tree, dump(facts), dump_settings(settings), temporary=rm
    )
    try:
        _start(background, store, instance, lock, settings, facts, environment)
    except BaseException:
        store.instances.remove(instance)
        raise
    return instance


def start_again(background: Background, store: Store, name: str, environment: Environment) -> Instance:
    """Starts an instance that is over, with the files as it left them; its name is printed."""
    _share(store)
    instance = store.instances.find(name)
    lock = hold(instance)
    _start(background, store, instance, lock, settings_of(instance), load(instance.facts), environment)
    return instance


def _start(
    background: Background,
    store: Store,
    instance: Instance,
    lock: int,
    settings: Settings,
    facts: Facts,
    environment: Environment,
) -> None:
    try:
        task, notes = _task(store, instance, settings, facts, environment)
        _warn((*notes, *background.start(task, lock)), environment)
    finally:
        os.close(lock)
    environment.stdout.write(f"{instance.name}\n")
    environment.stdout.flush()


def _task(
    store: Store, instance: Instance, settings: Settings, facts: Facts, environment: Environment
) -> tuple[Task, list[str]]:
    machine = NetworkSettings()
    if settings.network in (HOST_NETWORK, PRIVATE_NETWORK):
        machine = network_settings(store, instance.tree, environment.network(), environment.home())
        settings = settings.replace(environment=(*machine.environment, *settings.environment))
    if settings.network == PRIVATE_NETWORK:
        # What the machine says of names is true for its own network alone.
        binds = tuple(one for one in machine.binds if one[1] not in ("/etc/hosts", "/etc/resolv.conf"))
        machine = machine.replace(binds=binds)
    request = prepare(store, instance, settings, facts, machine)
    return Task(instance.identity, instance.name, instance.path, settings, request), store.take_notes()


def _command(arguments: argparse.Namespace, facts: Facts) -> tuple[str, ...]:
    argv = arguments.command or (facts.start.argv if facts.start is not None else ())
    if not argv:
        raise NothingToRun(arguments.image)
    return tuple(argv)


def _with_home(store: Store, tree: Digest, settings: Settings) -> Settings:
    return settings.replace(home=Homes(store).of(tree, settings.user))


def _share(store: Store) -> None:
    from envbuild.sandbox.user_namespace import (
        enter_user_namespace,
    )  # mostly entered already: only asks which kind it is

    store.share()
    store.owners_observable = enter_user_namespace().kind != "single"


def _warn(notes: tuple[str, ...] | list[str], environment: Environment) -> None:
    if not notes:
        return
    from envbuild.ui.sanitize import visible

    for note in notes:
        environment.stderr.write(f"warning: {visible(note)}\n")
    environment.stderr.flush()
