"""Bringing a group up: what is missing or changed is started, each service after those that it waits for.

What runs as the file says is left alone. Where one fails, those that were started here are ended again.
"""

from __future__ import annotations

import time

from envbuild.errors import WorkFailed
from envbuild.record import Record
from envbuild.runtime.health import HEALTHY as WELL
from envbuild.runtime.health import UNHEALTHY
from envbuild.runtime.logs import entries
from envbuild.sandbox.ids import IdMap
from envbuild.services import events
from envbuild.services.check import check_ports
from envbuild.services.end import end, kill
from envbuild.services.events import Emit, Told, Warned
from envbuild.services.members import Member, is_over, members
from envbuild.services.model import COMPLETED, HEALTHY, Dependency, Group
from envbuild.services.planned import Plan
from envbuild.services.start import Machine, Outcome, Start, start_all
from envbuild.store.instances import EXITED, Instance
from envbuild.store.store import Store

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

KEEP, RESUME, CREATE, RECREATE = "keep", "resume", "create", "recreate"
LINES_OF_LOG = 10
_PAUSE = 0.05
"""Seconds between two looks at what is waited for."""


class Decision(Record):
    """What is done for a service, with the instance that is there."""

    plan: Plan
    action: str
    instance: Instance | None = None


class ServiceFailed(WorkFailed):
    """A service could not be brought up; the message ends with what it printed last."""

    def __init__(self, service: str, instance: str, reason: str, printed: Sequence[str], hint: str = "") -> None:
        shown = "".join(f"\n  | {line}" for line in printed)
        super().__init__(
            f"service {service}: {reason}{shown}", hint or f"all that it printed: envbuild logs {instance}"
        )


class StaysUnhealthy(ServiceFailed):
    """A service runs and is not well."""


def decide(store: Store, group: Group, plans: Sequence[Plan], *, force: bool = False) -> tuple[Decision, ...]:
    """What has to be done for these plans: nothing for what runs as planned; what is over is started again."""
    there = {one.service: one for one in members(store.instances, group.name)}
    decisions: dict[str, Decision] = {}
    for plan in plans:
        known = there.get(plan.service.name)
        if known is None:
            action = CREATE
        elif (
            force
            or known.digest != plan.digest
            or known.instance.name != plan.name
            or any(one.restart and _is_new(decisions.get(one.service)) for one in plan.service.depends)
        ):
            action = RECREATE
        else:
            action = RESUME if is_over(store.instances.state(known.instance)) else KEEP
        decisions[plan.service.name] = Decision(plan, action, known.instance if known is not None else None)
    return tuple(decisions.values())


def _is_new(decision: Decision | None) -> bool:
    return decision is not None and decision.action == RECREATE


class Ascent:
    """One `up` of one group."""

    def __init__(self, store: Store, ids: IdMap, machine: Machine, group: Group, emit: Emit) -> None:
        self._store = store
        self._ids = ids
        self._machine = machine
        self._group = group
        self._emit = emit
        self._running: dict[str, Instance] = {}
        self._told: set[tuple[str, str]] = set()
        self._excused: set[str] = set()
        self.started: list[str] = []
        """The services that this has started."""

    def run(self, decisions: Sequence[Decision], *, wait: bool = True) -> None:
        """Starts what is to be started, and with `wait` returns when all that have a check are healthy.

        Raises ServiceFailed, PortTaken and UsageError: then nothing that this started runs any more; and
        StaysUnhealthy, where nothing waits for the service: then the group stays up.
        """
        changed = [one for one in decisions if one.action != KEEP]
        states = [self._store.instances.state(one.instance) for one in changed if one.instance is not None]
        check_ports([one.plan for one in changed], [port for one in states if not is_over(one) for port in one.ports])
        try:
            self._start_in_order(decisions)
            if wait:
                self._wait_for_health(decisions)
        except StaysUnhealthy:
            raise
        except BaseException:
            self._undo()
            raise

    def _undo(self) -> None:
        """Ends what this has started, in the reverse order; for certain and at once if that is interrupted."""
        found = [one for one in members(self._store.instances, self._group.name) if one.service in self.started]
        try:
            end(self._store.instances, found, self._emit)
        except KeyboardInterrupt:
            kill(found)
            raise

    def _start_in_order(self, decisions: Sequence[Decision]) -> None:
        for one in decisions:
            if one.action == KEEP and one.instance is not None:
                self._running[one.plan.service.name] = one.instance
                self._emit(Told(one.plan.service.name, events.UNCHANGED))
        waiting = [one for one in decisions if one.action != KEEP]
        chosen = {one.plan.service.name for one in decisions}
        while waiting:
            ready = [one for one in waiting if self._is_ready(one, chosen)]
            if ready:
                waiting = [one for one in waiting if one not in ready]
                self._start(ready)
            else:
                time.sleep(_PAUSE)

    def _is_ready(self, decision: Decision, chosen: set[str]) -> bool:
        """Whether all that it depends on is as it wants it. Raises ServiceFailed if that can't come to be."""
        service = decision.plan.service
        wanted = [one for one in service.depends if one.service in chosen]
        return all(self._holds(service.name, one) for one in wanted)

    def _holds(self, service: str, dependency: Dependency) -> bool:
        name = dependency.service
        instance = self._running.get(name)
        if instance is None:
            return False
        if dependency.condition not in (HEALTHY, COMPLETED):
            return True
        state = self._store.instances.state(instance)
        reason = ""
        if dependency.condition == HEALTHY:
            if state.health == WELL:
                self._tell(name, events.HEALTHY)
                return True
            if state.health == UNHEALTHY:
                reason = f"it is unhealthy, and {service} waits for it to be healthy"
            elif is_over(state):
                reason = f"it ended with exit code {state.code}, and {service} waits for it to be healthy"
        elif is_over(state):
            if state.status == EXITED and state.code == 0:
                self._tell(name, events.COMPLETED)
                return True
            reason = f"it ended with exit code {state.code}, and {service} waits for it to complete"
        if not reason:
            self._tell(name, events.WAITING, dependency.condition.removeprefix("service_").split("_")[0])
            return False
        if not dependency.required:
            self._excused.add(name)
            self._emit(Warned(f"{name}: {reason}; {service} starts without it"))
            return True
        raise self._failed(name, instance, reason, state.check)

    def _start(self, ready: Sequence[Decision]) -> None:
        wanted = []
        for one in ready:
            name = one.plan.service.name
            if one.action == RECREATE and one.instance is not None:
                self._emit(Told(name, events.RECREATING))
                end(self._store.instances, [Member(one.instance, name, "", (), ())], lambda event: None)
                self._store.instances.remove(one.instance)
            self._emit(Told(name, events.STARTING))
            wanted.append(Start(one.plan, one.instance if one.action == RESUME else None))
        outcomes = start_all(self._store, self._ids, self._machine, wanted)
        for outcome in outcomes:
            self._took(outcome)
        for outcome in outcomes:
            if outcome.error is not None:
                error, name = outcome.error, outcome.plan.service.name
                printed = self._last_lines(outcome.instance) if outcome.instance is not None else []
                raise ServiceFailed(name, outcome.plan.name, error.message, printed, error.hint) from error

    def _took(self, outcome: Outcome) -> None:
        name = outcome.plan.service.name
        for text in outcome.warnings:
            self._emit(Warned(f"{name}: {text}"))
        if outcome.error is None and outcome.instance is not None:
            self._running[name] = outcome.instance
            self.started.append(name)
            ports = self._store.instances.state(outcome.instance).ports
            shown = ", ".join(f"{host}:{number} -> {inside}/{kind}" for host, number, inside, kind in ports)
            self._emit(Told(name, events.STARTED, shown))

    def _wait_for_health(self, decisions: Sequence[Decision]) -> None:
        """Until each with a check is healthy; one that has ended badly by then is a failure, too."""
        left = {one.plan.service.name: one for one in decisions if one.plan.service.name not in self._excused}
        while left:
            for name, one in list(left.items()):
                instance = self._running[name]
                state = self._store.instances.state(instance)
                if is_over(state):
                    if (state.code != 0 or state.status != EXITED) and name in self.started:
                        raise self._failed(name, instance, f"it ended with exit code {state.code}", state.error)
                elif one.plan.settings.health is not None and state.health != WELL:
                    if state.health == UNHEALTHY:
                        raise self._failed(name, instance, "it is unhealthy", state.check, StaysUnhealthy)
                    self._tell(name, events.WAITING, "healthy")
                    continue
                elif one.plan.settings.health is not None:
                    self._tell(name, events.HEALTHY)
                del left[name]
            if left:
                time.sleep(_PAUSE)

    def _tell(self, service: str, what: str, detail: str = "") -> None:
        if (service, what) not in self._told:
            self._told.add((service, what))
            self._emit(Told(service, what, detail))

    def _failed(
        self, service: str, instance: Instance, reason: str, check: str, kind: type[ServiceFailed] = ServiceFailed
    ) -> ServiceFailed:
        lines = self._last_lines(instance)
        if check.strip():
            reason += f" ({check.strip().splitlines()[-1]})"
        return kind(service, instance.name, reason, lines)

    def _last_lines(self, instance: Instance) -> list[str]:
        found = [line.decode(errors="replace") for _, _, line in entries(f"{instance.path}/log")]
        return found[-LINES_OF_LOG:]
