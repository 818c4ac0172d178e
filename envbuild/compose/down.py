"""Taking a group down: its instances are stopped and removed; volumes stay, unless they are to go as well."""

from __future__ import annotations

from envbuild.compose.file.model import Group
from envbuild.compose.members import REMOVED, Emit, Member, Progressed, Warned, groups, is_over
from envbuild.instances.config import settings_of
from envbuild.instances.records import Instances
from envbuild.instances.volumes import Volumes
from envbuild.store.store import Store
from envbuild.text.suggestion import did_you_mean

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence


def no_such_group(instances: Instances, name: str) -> Warned:
    """Return what to say of a group that has no instances."""
    known = groups(instances)
    otherwise = f"up are: {', '.join(known)}" if known else ""
    return Warned(f"no group '{name}' is up", did_you_mean(name, known, otherwise))


def remove_members(store: Store, gone: Sequence[Member], emit: Emit) -> None:
    """Remove instances that are over, and the volumes that go with them. The process is root of the namespace."""
    volumes = Volumes.of(store)
    for member in gone:
        Instances.of(store.path).remove(member.instance)
        for volume in member.anonymous:
            known = volumes.get(volume)
            if known is not None:
                volumes.remove(known)
        emit(Progressed(member.service, REMOVED))


def remove_volumes(store: Store, group: Group, emit: Emit) -> None:
    """Remove the volumes that a file declares, but for external ones and those that somebody else has in use."""
    instances = Instances.of(store.path)
    used = {
        mount.source: instance.name
        for instance in instances.all()
        for mount in settings_of(instance).mounts
        if mount.kind == "volume" and not is_over(instances.state(instance))
    }
    for declared in group.volumes:
        known = None if declared.external else Volumes.of(store).get(declared.name)
        if known is None:
            continue
        if declared.name in used:
            emit(Warned(f"the volume {declared.name} stays: {used[declared.name]} uses it"))
        else:
            Volumes.of(store).remove(known)
            emit(Progressed(declared.name, REMOVED))
