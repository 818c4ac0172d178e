"""Starting instances of a group in the background, several at the same time."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

from envbuild.compose.instance_plan import Plan
from envbuild.compose.reconcile import RESUME, Decision
from envbuild.errors import EnvbuildError
from envbuild.images.network_settings import NetworkSettings, network_settings
from envbuild.instances.background import Background, in_background
from envbuild.instances.config import HOST_NETWORK, NEVER, PRIVATE_NETWORK, RESERVED
from envbuild.instances.config import dump as dump_settings
from envbuild.instances.network.ports import open_ports
from envbuild.instances.records import Instance, hold
from envbuild.instances.sandbox_request import prepare
from envbuild.instances.supervisor import Task
from envbuild.plan.image_config import dump
from envbuild.record import Record
from envbuild.sandbox.user_namespace import enter_user_namespace
from envbuild.store.store import Store

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence


class Machine(Record):
    """What services with the machine's network see of the user's settings: variables, and the user's folder."""

    variables: tuple[tuple[str, str], ...] = ()
    home: str = ""


class Started(Record):
    """What came of one: the instance if it runs, with warnings; else the error, with the instance if that is there."""

    decision: Decision
    instance: Instance | None = None
    warnings: tuple[str, ...] = ()
    error: EnvbuildError | None = None


class Starter:
    """Supervisors in waiting, for one service each, and the store for what they are given to do."""

    def __init__(self, store: Store, machine: Machine, waiting: Mapping[str, Background]) -> None:
        self._store = store
        self._machine = machine
        self._waiting = waiting

    @classmethod
    @contextmanager
    def ready(cls, store: Store, machine: Machine, plans: Sequence[Plan]) -> Iterator[Starter]:
        """Forks them, with the ports of their services open, while this process has one thread and the rights of the
        user; and makes it root of its user namespace. Raises PortTaken."""
        waiting: dict[str, Background] = {}
        with ExitStack() as stack:
            # Those of named networks first: nobody can enter one from a user namespace of its own.
            for one in sorted(plans, key=lambda one: one.settings.network in RESERVED):
                opened = [socket for _, socket in open_ports(one.settings.ports)]
                background = in_background(
                    one.settings.network, store.path, opened, again=one.settings.restart.when != NEVER
                )
                waiting[one.service.name] = stack.enter_context(background)
            store.owners_observable = enter_user_namespace().kind != "single"
            store.tidy()
            yield cls(store, machine, waiting)

    def start(self, decisions: Sequence[Decision]) -> list[Started]:
        """Starts these at the same time, and returns when each was started or can't be. One that is to be made anew is
        removed first; a new one that can't be started leaves no trace."""
        begun = [self._begin(one) for one in decisions]
        return [self._finish(one) for one in begun]

    def _begin(self, decision: Decision) -> Started:
        plan, instance, store = decision.plan, decision.instance, self._store
        try:
            if decision.action == RESUME and instance is not None:
                lock = hold(instance)
            else:
                if instance is not None:
                    store.instances.remove(instance)
                facts, settings = dump(plan.facts), dump_settings(plan.settings)
                instance, lock = store.instances.create(
                    plan.name, plan.image.digest, plan.reference, plan.image.tree, facts, settings
                )
        except EnvbuildError as error:
            return Started(decision, error=error)
        try:
            settings_, seen = plan.settings, self._seen(plan)
            settings_ = settings_.replace(environment=(*seen.environment, *settings_.environment))
            request = prepare(store, instance, settings_, plan.facts, seen)
            task = Task(instance.identity, instance.name, instance.path, settings_, request)
            self._waiting[plan.service.name].begin(task, lock)
            return Started(decision, instance, tuple(store.take_notes()))
        except EnvbuildError as error:
            if decision.action != RESUME:
                store.instances.remove(instance)
            return Started(decision, error=error)
        finally:
            os.close(lock)

    def _seen(self, plan: Plan) -> NetworkSettings:
        """What a service sees of the machine's settings about networks."""
        network = plan.settings.network
        if network not in (HOST_NETWORK, PRIVATE_NETWORK):
            return NetworkSettings()
        seen = network_settings(self._store, plan.image.tree, self._machine.variables, self._machine.home)
        if network == HOST_NETWORK:
            return seen
        # What the machine says of names is true for its own network alone.
        return seen.replace(binds=tuple(one for one in seen.binds if one[1] not in ("/etc/hosts", "/etc/resolv.conf")))

    def _finish(self, begun: Started) -> Started:
        if begun.error is not None:
            return begun
        try:
            warnings = self._waiting[begun.decision.plan.service.name].finish()
            return begun.replace(warnings=(*begun.warnings, *warnings))
        except EnvbuildError as error:
            return begun.replace(error=error)
