"""The instances of a group, how they meet the conditions of others, and the events that are reported about them.

A group is the instances that carry its label. There is no other record of one.
"""

from __future__ import annotations

from collections.abc import Callable

from envbuild.compose.file.model import WHEN_COMPLETED, WHEN_HEALTHY
from envbuild.instances.config import settings_of
from envbuild.instances.record import UNHEALTHY
from envbuild.instances.records import EXITED, LOST, Instance, Instances, State
from envbuild.record import Record

GROUP, SERVICE, NAME, SETTINGS, AFTER, ANONYMOUS = (
    f"envbuild.{label}" for label in ("group", "service", "name", "settings", "after", "anonymous")
)
"""Labels: the names of the group, the service and the instance; the digest of what the instance was started with; the
services that it depends on and its anonymous volumes, separated by spaces."""
BUILDING = "building"
STARTING, STARTED, UNCHANGED, RECREATING, WAITING = "starting", "started", "unchanged", "recreating", "waiting"
NOT_YET = "not healthy yet"
HEALTHY, COMPLETED = "healthy", "completed"
STOPPING, STOPPED, REMOVED = "stopping", "stopped", "removed"


class Progressed(Record):
    """An event: `stage` is one of the words above and says what has become of a service; `detail` says more."""

    service: str
    stage: str
    detail: str = ""


class Warned(Record):
    """An event: something that the user should know."""

    message: str
    hint: str = ""


Event = Progressed | Warned
Emit = Callable[[Event], None]


class Member(Record):
    """One instance of a group."""

    instance: Instance
    service: str
    digest: str
    after: tuple[str, ...]
    anonymous: tuple[str, ...]


class Standing(Record):
    """How a service meets a condition: `holds` is the stage that meets it, "" until then; `failed` says why it never
    will. `check` is what its health check printed last."""

    holds: str = ""
    failed: str = ""
    check: str = ""


def group_of(instance: Instance) -> str:
    """Return the name of the group that an instance belongs to, "" for none."""
    labels = dict(settings_of(instance).labels)
    # A clone has the labels of its source, and is no part of the group.
    return labels.get(GROUP, "") if labels.get(NAME) == instance.name else ""


def members(instances: Instances, group: str) -> list[Member]:
    """Return the instances of this group, ordered by the names of their services."""
    in_group = []
    for instance in instances.all():
        if group_of(instance) == group:
            labels = dict(settings_of(instance).labels)
            after, anonymous = (tuple(labels.get(name, "").split()) for name in (AFTER, ANONYMOUS))
            in_group.append(Member(instance, labels.get(SERVICE, ""), labels.get(SETTINGS, ""), after, anonymous))
    return sorted(in_group, key=lambda member: (member.service, member.instance.name))


def groups(instances: Instances) -> list[str]:
    """Return the names of all groups."""
    return sorted({name for instance in instances.all() if (name := group_of(instance))})


def is_over(state: State) -> bool:
    """Tell whether an instance has to be started to run."""
    return state.status in (EXITED, LOST)


def standing(condition: str, state: State) -> Standing:
    """Return how an instance that was started meets a condition of `depends_on`."""
    if condition == WHEN_HEALTHY:
        if state.health == HEALTHY:
            return Standing(HEALTHY)
        if state.health == UNHEALTHY:
            return Standing(failed="it is unhealthy", check=state.check)
        return Standing(failed=how_it_ended(state)) if is_over(state) else Standing(check=state.check)
    if condition == WHEN_COMPLETED:
        if not is_over(state):
            return Standing()
        succeeded = state.status == EXITED and state.code == 0
        return Standing(COMPLETED) if succeeded else Standing(failed=how_it_ended(state))
    return Standing(STARTED)


def how_it_ended(state: State) -> str:
    """Describe the end of an instance."""
    if state.status != EXITED:
        return "its supervisor was killed"
    return f"it ended with exit code {state.code}" + (f": {state.error}" if state.error else "")
