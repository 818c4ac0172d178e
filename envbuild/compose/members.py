"""The instances of a group: those with its label. There is no other record of one."""

from __future__ import annotations

from envbuild.instances.config import settings_of
from envbuild.instances.records import EXITED, LOST, Instance, Instances, State
from envbuild.record import Record

GROUP, SERVICE, NAME, SETTINGS, AFTER, ANONYMOUS = (
    f"envbuild.{one}" for one in ("group", "service", "name", "settings", "after", "anonymous")
)
"""Labels: the group's name, the service's, the instance's, the digest of what it was started with, the services that
it depends on and the volumes that go with it, both with spaces between."""


class Member(Record):
    """One instance of a group."""

    instance: Instance
    service: str
    digest: str
    after: tuple[str, ...]
    anonymous: tuple[str, ...]


def group_of(instance: Instance) -> str:
    """The group that an instance belongs to, "" for none."""
    labels = dict(settings_of(instance).labels)
    # A clone has the labels of what it was made from, and is no part of the group.
    return labels.get(GROUP, "") if labels.get(NAME) == instance.name else ""


def members(instances: Instances, group: str) -> list[Member]:
    """The instances of this group, by the names of their services."""
    found = []
    for one in instances.all():
        if group_of(one) == group:
            labels = dict(settings_of(one).labels)
            after, anonymous = (tuple(labels.get(name, "").split()) for name in (AFTER, ANONYMOUS))
            found.append(Member(one, labels.get(SERVICE, ""), labels.get(SETTINGS, ""), after, anonymous))
    return sorted(found, key=lambda one: (one.service, one.instance.name))


def groups(instances: Instances) -> list[str]:
    """The names of all groups."""
    return sorted({name for one in instances.all() if (name := group_of(one))})


def is_over(state: State) -> bool:
    """Whether it has to be started to run."""
    return state.status in (EXITED, LOST)
