"""Bringing a group up: start what is missing or has changed, each service after those that it waits for.

If a service fails, those that were started here are stopped again.
"""

from __future__ import annotations

import time

from envbuild.compose.file.model import Dependency, Group
from envbuild.compose.members import (
    HEALTHY,
    NOT_YET,
    RECREATING,
    STARTED,
    STARTING,
    UNCHANGED,
    WAITING,
    Emit,
    Progressed,
    Warned,
    how_it_ended,
    is_over,
    members,
    standing,
)
from envbuild.compose.preflight import check_ports
from envbuild.compose.reconcile import KEEP, RECREATE, Decision
from envbuild.compose.start import Started, Starter
from envbuild.compose.stop import kill_members, stop_members
from envbuild.errors import WorkFailed, fields
from envbuild.instances.launch import Machine
from envbuild.instances.logs import entries
from envbuild.instances.record import EXITED, UNHEALTHY, Instance
from envbuild.instances.records import Instances
from envbuild.store.store import Store

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Collection, Sequence

MAX_LOG_LINES = 10
_PAUSE = 0.05
"""Seconds between two looks at what is waited for."""
_CHECKS_EVERY = 1.0
"""Seconds between two lines about what one service's check printed, which may be other text each time."""
_WORDS = {"service_healthy": "healthy", "service_completed_successfully": "completed"}


@fields
class ServiceFailed(WorkFailed):
    """A service could not be brought up. `printed` are the last lines of its log, `mend` is a hint of the reason's own,
    or ""."""

    service: str
    instance: str
    reason: str
    printed: Sequence[str]
    mend: str = ""

    def text(self) -> tuple[str, str]:
        shown = "".join(f"\n  | {line}" for line in self.printed)
        hint = self.mend or f"its whole log: envbuild logs {self.instance}"
        return f"service {self.service}: {self.reason}{shown}", hint


class StaysUnhealthy(ServiceFailed):
    """A service runs and is unhealthy."""


class Rollout:
    """One `up` of one group: its services are started in order, and stopped again if one of them fails."""

    def __init__(self, store: Store, group: Group, emit: Emit) -> None:
        self._store = store
        self._instances = Instances.of(store.path)
        self._group = group
        self._emit = emit
        self._running: dict[str, Instance] = {}
        self._reported: set[tuple[str, str]] = set()
        self._excused: set[str] = set()
        self._checks: dict[str, tuple[str, float]] = {}
        self._started: list[str] = []

    def run(self, decisions: Sequence[Decision], machine: Machine, *, wait: bool = True) -> None:
        """Start what is to be started, and with `wait` return when all that have a check are healthy. The process has
        one thread, and the rights of the user.

        Raises ServiceFailed, PortTaken and UsageError: then nothing that this started runs any more; and
        StaysUnhealthy, where nothing waits for the service: then the group stays up.
        """
        for decision in decisions:
            if decision.action == KEEP and decision.instance is not None:
                self._running[decision.plan.service.name] = decision.instance
                self._emit(Progressed(decision.plan.service.name, UNCHANGED))
        changed = [decision for decision in decisions if decision.action != KEEP]
        try:
            if changed:
                self._make_room(changed)
                with Starter.ready(self._store, machine, [decision.plan for decision in changed]) as starter:
                    self._start_in_order(changed, starter, {decision.plan.service.name for decision in decisions})
            if wait:
                self._wait_for_health(decisions)
        except StaysUnhealthy:
            raise
        except BaseException:
            self._undo()
            raise

    def _make_room(self, changed: Sequence[Decision]) -> None:
        """End what is to be made anew, when all ports can be had that nobody of the group has."""
        check_ports([decision.plan for decision in changed], [port for decision in changed for port in decision.holds])
        old = [decision.plan.service.name for decision in changed if decision.action == RECREATE]
        for name in old:
            self._emit(Progressed(name, RECREATING))
        recreated = [member for member in members(self._instances, self._group.name) if member.service in old]
        stop_members(self._instances, recreated, lambda event: None)

    def _undo(self) -> None:
        """End what this has started, in the reverse order; for certain and at once if that is interrupted."""
        started = [member for member in members(self._instances, self._group.name) if member.service in self._started]
        try:
            stop_members(self._instances, started, self._emit)
        except KeyboardInterrupt:
            kill_members(started)
            raise

    def _start_in_order(self, waiting: Sequence[Decision], starter: Starter, chosen: Collection[str]) -> None:
        while waiting:
            ready = [decision for decision in waiting if self._is_ready(decision, chosen)]
            if not ready:
                time.sleep(_PAUSE)
                continue
            waiting = [decision for decision in waiting if decision not in ready]
            for decision in ready:
                self._emit(Progressed(decision.plan.service.name, STARTING))
            started = starter.start(ready)
            for each in started:
                self._took(each)
            for each in started:
                if each.error is not None:
                    printed = self._last_lines(each.instance) if each.instance is not None else []
                    plan, error = each.decision.plan, each.error
                    raise ServiceFailed(plan.service.name, plan.name, error.message, printed, error.hint) from error

    def _is_ready(self, decision: Decision, chosen: Collection[str]) -> bool:
        """Tell whether all that it depends on is as it wants it. Raises ServiceFailed if that can't come to be."""
        service = decision.plan.service
        return all(
            self._holds(service.name, dependency) for dependency in service.depends if dependency.service in chosen
        )

    def _holds(self, service: str, dependency: Dependency) -> bool:
        name = dependency.service
        instance = self._running.get(name)
        if instance is None:
            return False
        if name in self._excused and not dependency.required:
            return True
        standing_now = standing(dependency.condition, self._instances.state(instance))
        if standing_now.holds:
            self._tell(name, standing_now.holds)
        elif not standing_now.failed:
            self._tell(name, WAITING, _WORDS[dependency.condition])
            self._tell_check(name, standing_now.check)
        elif dependency.required:
            reason = f"{standing_now.failed}, and {service} waits for it to be {_WORDS[dependency.condition]}"
            raise self._failed(name, instance, reason, standing_now.check)
        else:
            self._excused.add(name)
            self._emit(Warned(f"{name}: {standing_now.failed}; {service} starts without it"))
        return bool(standing_now.holds or standing_now.failed)

    def _took(self, started: Started) -> None:
        name = started.decision.plan.service.name
        for text in started.warnings:
            self._emit(Warned(f"{name}: {text}"))
        if started.error is None and started.instance is not None:
            self._running[name] = started.instance
            self._started.append(name)
            ports = self._instances.state(started.instance).ports
            shown = ", ".join(f"{host}:{number} -> {inside}/{kind}" for host, number, inside, kind in ports)
            self._reported.add((name, STARTED))
            self._emit(Progressed(name, STARTED, shown))

    def _wait_for_health(self, decisions: Sequence[Decision]) -> None:
        """Wait until each with a check is healthy; one that has ended badly by then is a failure, too."""
        left = {
            decision.plan.service.name: decision
            for decision in decisions
            if decision.plan.service.name not in self._excused
        }
        while left:
            for name, decision in list(left.items()):
                instance = self._running[name]
                state = self._instances.state(instance)
                if is_over(state):
                    if (state.code != 0 or state.status != EXITED) and name in self._started:
                        raise self._failed(name, instance, how_it_ended(state), "")
                elif decision.plan.settings.health is not None and state.health != HEALTHY:
                    if state.health == UNHEALTHY:
                        raise self._failed(name, instance, "it is unhealthy", state.check, StaysUnhealthy)
                    self._tell(name, WAITING, "healthy")
                    self._tell_check(name, state.check)
                    continue
                elif decision.plan.settings.health is not None:
                    self._tell(name, HEALTHY)
                del left[name]
            if left:
                time.sleep(_PAUSE)

    def _tell(self, service: str, what: str, detail: str = "") -> None:
        if (service, what) not in self._reported:
            self._reported.add((service, what))
            self._emit(Progressed(service, what, detail))

    def _tell_check(self, service: str, printed: str) -> None:
        """Show what a check of a service that is waited for printed last, now and then."""
        last = printed.strip().rpartition("\n")[2]
        before, at = self._checks.get(service, ("", -_CHECKS_EVERY))
        if last and last != before and time.monotonic() - at >= _CHECKS_EVERY:
            self._checks[service] = (last, time.monotonic())
            self._emit(Progressed(service, NOT_YET, last))

    def _failed(
        self, service: str, instance: Instance, reason: str, check: str, kind: type[ServiceFailed] = ServiceFailed
    ) -> ServiceFailed:
        lines = self._last_lines(instance)
        if check.strip():
            reason += f" ({check.strip().splitlines()[-1]})"
        return kind(service, instance.name, reason, lines)

    def _last_lines(self, instance: Instance) -> list[str]:
        lines = [line.decode(errors="replace") for _, _, line in entries(f"{instance.path}/log")]
        return lines[-MAX_LOG_LINES:]
