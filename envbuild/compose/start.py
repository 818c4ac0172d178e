"""Starting instances of a group in the background, several in parallel."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from envbuild.compose.instance_plan import Plan
from envbuild.compose.reconcile import RESUME, Decision
from envbuild.errors import EnvbuildError
from envbuild.instances.background import Background, in_backgrounds
from envbuild.instances.launch import Launch, Machine, Origin, launch, relaunch
from envbuild.instances.records import Instance, Instances
from envbuild.record import Record
from envbuild.sandbox.user_namespace import enter_user_namespace
from envbuild.store.store import Store

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from contextlib import AbstractContextManager


class Started(Record):
    """The outcome of a start: the instance if it runs, with warnings; else the error, with the instance if there is
    one."""

    decision: Decision
    instance: Instance | None = None
    warnings: tuple[str, ...] = ()
    error: EnvbuildError | None = None


class Starter:
    """Supervisors in waiting, one for each service, and the store that their tasks come from."""

    def __init__(self, store: Store, machine: Machine, waiting: Mapping[str, Background]) -> None:
        self._store = store
        self._machine = machine
        self._waiting = waiting

    @classmethod
    @contextmanager
    def ready(cls, store: Store, machine: Machine, plans: Sequence[Plan]) -> Iterator[Starter]:
        """Fork the supervisors, with the ports of their services open, while this process has one thread and the rights
        of the user; then make it root of its user namespace. Raises PortTaken."""
        with in_backgrounds(store.path, [plan.settings for plan in plans]) as backgrounds:
            # Before an instance that is to be made anew is removed: its files belong to its own users.
            store.owners_observable = enter_user_namespace().kind != "single"
            services = [plan.service.name for plan in plans]
            yield cls(store, machine, dict(zip(services, backgrounds, strict=True)))

    def start(self, decisions: Sequence[Decision]) -> list[Started]:
        """Start these in parallel; return when each was started or has failed. An instance that is to be made anew is
        removed first; a new one that can't be started leaves no trace."""
        begun = [self._begin(decision) for decision in decisions]
        return [self._finish(started) for started in begun]

    def _begin(self, decision: Decision) -> Started:
        try:
            with self._launch(decision) as launched:
                self._waiting[decision.plan.service.name].begin(launched.task, launched.lock)
                return Started(decision, launched.instance, launched.warnings)
        except EnvbuildError as error:
            return Started(decision, error=error)

    def _launch(self, decision: Decision) -> AbstractContextManager[Launch]:
        plan, instance = decision.plan, decision.instance
        if instance is not None and decision.action == RESUME:
            return relaunch(self._store, instance, self._machine)
        if instance is not None:
            Instances.of(self._store.path).remove(instance)
        origin = Origin(plan.image.digest, plan.reference, plan.image.tree, plan.facts)
        return launch(self._store, origin, plan.settings, self._machine, name=plan.name)

    def _finish(self, started: Started) -> Started:
        if started.error is not None:
            return started
        try:
            warnings = self._waiting[started.decision.plan.service.name].finish()
            return started.replace(warnings=(*started.warnings, *warnings))
        except EnvbuildError as error:
            return started.replace(error=error)
