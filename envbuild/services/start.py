"""Starting instances of a group in the background, several at the same time."""

from __future__ import annotations

import os
from contextlib import ExitStack

from envbuild.engine.machine_network import NetworkSettings, network_settings
from envbuild.errors import EnvbuildError
from envbuild.plan.facts import dump
from envbuild.record import Record
from envbuild.runtime.background import Background, in_background
from envbuild.runtime.prepare import prepare
from envbuild.runtime.settings import HOST_NETWORK
from envbuild.runtime.settings import dump as dump_settings
from envbuild.runtime.supervisor import Task
from envbuild.sandbox.ids import IdMap
from envbuild.services.planned import Plan
from envbuild.store.instances import Instance, hold
from envbuild.store.store import Store

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence


class Machine(Record):
    """What services with the machine's network see of the user's settings: variables, and the user's folder."""

    variables: tuple[tuple[str, str], ...] = ()
    home: str = ""


class Start(Record):
    """One that is to be started: `instance` is the one that is there and over, None for a new one."""

    plan: Plan
    instance: Instance | None = None


class Outcome(Record):
    """What came of it: the instance if it runs, with warnings; else the error."""

    plan: Plan
    instance: Instance | None
    warnings: tuple[str, ...] = ()
    error: EnvbuildError | None = None


def start_all(store: Store, ids: IdMap, machine: Machine, wanted: Sequence[Start]) -> list[Outcome]:
    """Starts them, and returns when each was started or can't be. The process is root of its user namespace, with one
    thread, and uses the store. A new one that can't be started leaves no trace."""
    with ExitStack() as stack:
        waiting = [stack.enter_context(in_background(ids)) for _ in wanted]
        begun = [_begin(store, machine, one, background) for one, background in zip(wanted, waiting, strict=True)]
        return [_finish(store, one, background) for one, background in zip(begun, waiting, strict=True)]


def _begin(store: Store, machine: Machine, wanted: Start, background: Background) -> Outcome:
    plan, instance = wanted.plan, wanted.instance
    try:
        if instance is None:
            instance, lock = store.instances.create(
                plan.name,
                plan.image.digest,
                plan.reference,
                plan.image.tree,
                dump(plan.facts),
                dump_settings(plan.settings),
            )
        else:
            lock = hold(instance)
    except EnvbuildError as error:
        return Outcome(plan, None, error=error)
    try:
        settings, seen = plan.settings, NetworkSettings()
        if settings.network == HOST_NETWORK:
            seen = network_settings(store, instance.tree, machine.variables, machine.home)
            settings = settings.replace(environment=(*seen.environment, *settings.environment))
        request = prepare(store, instance, settings, plan.facts, seen)
        background.begin(Task(instance.identity, instance.path, settings, request), lock)
        return Outcome(plan, instance, tuple(store.take_notes()))
    except EnvbuildError as error:
        if wanted.instance is None:
            store.instances.remove(instance)
        return Outcome(plan, None, error=error)
    finally:
        os.close(lock)


def _finish(store: Store, begun: Outcome, background: Background) -> Outcome:
    if begun.error is not None or begun.instance is None:
        return begun
    try:
        return begun.replace(warnings=(*begun.warnings, *background.finish()))
    except EnvbuildError as error:
        return begun.replace(error=error)
