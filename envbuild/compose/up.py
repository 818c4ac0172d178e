"""Bringing a group up: what is missing or changed is started, each service after those that it waits for.

Where one fails, those that were started here are ended again.
"""

from __future__ import annotations

import time

from envbuild.compose import events
from envbuild.compose.conditions import how_it_ended, standing
from envbuild.compose.events import Emit, Told, Warned
from envbuild.compose.file.model import Dependency, Group
from envbuild.compose.members import is_over, members
from envbuild.compose.preflight import check_ports
from envbuild.compose.reconcile import KEEP, RECREATE, Decision
from envbuild.compose.start import Started, Starter
from envbuild.compose.stop import end, kill
from envbuild.errors import WorkFailed
from envbuild.instances.health import HEALTHY as WELL
from envbuild.instances.health import UNHEALTHY
from envbuild.instances.launch import Machine
from envbuild.instances.logs import entries
from envbuild.instances.network.select import check_network
from envbuild.instances.records import EXITED, Instance
from envbuild.store.store import Store

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Collection, Sequence

LINES_OF_LOG = 10
_PAUSE = 0.05
"""Seconds between two looks at what is waited for."""
_WORDS = {"service_healthy": "healthy", "service_completed_successfully": "completed"}


class ServiceFailed(WorkFailed):
    """A service could not be brought up; the message ends with what it printed last."""

    def __init__(self, service: str, instance: str, reason: str, printed: Sequence[str], hint: str = "") -> None:
        shown = "".join(f"\n  | {line}" for line in printed)
        super().__init__(
            f"service {service}: {reason}{shown}", hint or f"all that it printed: envbuild logs {instance}"
        )


class StaysUnhealthy(ServiceFailed):
    """A service runs and is not well."""


class Ascent:
    """One `up` of one group."""

    def __init__(self, store: Store, group: Group, emit: Emit) -> None:
        self._store = store
        self._group = group
        self._emit = emit
        self._running: dict[str, Instance] = {}
        self._told: set[tuple[str, str]] = set()
        self._excused: set[str] = set()
        self._started: list[str] = []

    def run(self, decisions: Sequence[Decision], machine: Machine, *, wait: bool = True) -> None:
        """Starts what is to be started, and with `wait` returns when all that have a check are healthy. The process has
        one thread, and the rights of the user.

        Raises ServiceFailed, PortTaken and UsageError: then nothing that this started runs any more; and
        StaysUnhealthy, where nothing waits for the service: then the group stays up.
        """
        for one in decisions:
            if one.action == KEEP and one.instance is not None:
                self._running[one.plan.service.name] = one.instance
                self._emit(Told(one.plan.service.name, events.UNCHANGED))
        changed = [one for one in decisions if one.action != KEEP]
        try:
            if changed:
                self._make_room(changed)
                with Starter.ready(self._store, machine, [one.plan for one in changed]) as starter:
                    self._start_in_order(changed, starter, {one.plan.service.name for one in decisions})
            if wait:
                self._wait_for_health(decisions)
        except StaysUnhealthy:
            raise
        except BaseException:
            self._undo()
            raise

    def _make_room(self, changed: Sequence[Decision]) -> None:
        """Ends what is to be made anew, when all ports can be had that nobody of the group has."""
        for network in {one.plan.settings.network for one in changed}:
            check_network(network)
        check_ports([one.plan for one in changed], [port for one in changed for port in one.holds])
        old = [one.plan.service.name for one in changed if one.action == RECREATE]
        for name in old:
            self._emit(Told(name, events.RECREATING))
        found = [one for one in members(self._store.instances, self._group.name) if one.service in old]
        end(self._store.instances, found, lambda event: None)

    def _undo(self) -> None:
        """Ends what this has started, in the reverse order; for certain and at once if that is interrupted."""
        found = [one for one in members(self._store.instances, self._group.name) if one.service in self._started]
        try:
            end(self._store.instances, found, self._emit)
        except KeyboardInterrupt:
            kill(found)
            raise

    def _start_in_order(self, waiting: Sequence[Decision], starter: Starter, chosen: Collection[str]) -> None:
        while waiting:
            ready = [one for one in waiting if self._is_ready(one, chosen)]
            if not ready:
                time.sleep(_PAUSE)
                continue
            waiting = [one for one in waiting if one not in ready]
            for one in ready:
                self._emit(Told(one.plan.service.name, events.STARTING))
            started = starter.start(ready)
            for each in started:
                self._took(each)
            for each in started:
                if each.error is not None:
                    printed = self._last_lines(each.instance) if each.instance is not None else []
                    plan, error = each.decision.plan, each.error
                    raise ServiceFailed(plan.service.name, plan.name, error.message, printed, error.hint) from error

    def _is_ready(self, decision: Decision, chosen: Collection[str]) -> bool:
        """Whether all that it depends on is as it wants it. Raises ServiceFailed if that can't come to be."""
        service = decision.plan.service
        return all(self._holds(service.name, one) for one in service.depends if one.service in chosen)

    def _holds(self, service: str, dependency: Dependency) -> bool:
        name = dependency.service
        instance = self._running.get(name)
        if instance is None:
            return False
        if name in self._excused and not dependency.required:
            return True
        found = standing(dependency.condition, self._store.instances.state(instance))
        if found.holds:
            self._tell(name, found.holds)
        elif not found.failed:
            self._tell(name, events.WAITING, _WORDS[dependency.condition])
        elif dependency.required:
            reason = f"{found.failed}, and {service} waits for it to be {_WORDS[dependency.condition]}"
            raise self._failed(name, instance, reason, found.check)
        else:
            self._excused.add(name)
            self._emit(Warned(f"{name}: {found.failed}; {service} starts without it"))
        return bool(found.holds or found.failed)

    def _took(self, started: Started) -> None:
        name = started.decision.plan.service.name
        for text in started.warnings:
            self._emit(Warned(f"{name}: {text}"))
        if started.error is None and started.instance is not None:
            self._running[name] = started.instance
            self._started.append(name)
            ports = self._store.instances.state(started.instance).ports
            shown = ", ".join(f"{host}:{number} -> {inside}/{kind}" for host, number, inside, kind in ports)
            self._told.add((name, events.STARTED))
            self._emit(Told(name, events.STARTED, shown))

    def _wait_for_health(self, decisions: Sequence[Decision]) -> None:
        """Until each with a check is healthy; one that has ended badly by then is a failure, too."""
        left = {one.plan.service.name: one for one in decisions if one.plan.service.name not in self._excused}
        while left:
            for name, one in list(left.items()):
                instance = self._running[name]
                state = self._store.instances.state(instance)
                if is_over(state):
                    if (state.code != 0 or state.status != EXITED) and name in self._started:
                        raise self._failed(name, instance, how_it_ended(state), "")
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
