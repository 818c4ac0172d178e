"""Which instances have a volume mounted, or will have it when they are started again."""

from __future__ import annotations

from envbuild.errors import WorkFailed, fields
from envbuild.instances.config import VOLUME, settings_of
from envbuild.instances.records import EXITED, LOST, Instance, Instances
from envbuild.instances.volumes import Volume, Volumes
from envbuild.record import Record
from envbuild.store.store import Store


class User(Record):
    """An instance, where it shows a volume, and whether it runs."""

    instance: Instance
    target: str
    read_only: bool
    running: bool


@fields
class VolumeInUse(WorkFailed):
    """A volume that instances use is not removed."""

    name: str
    users: list[User]

    def text(self) -> tuple[str, str]:
        running = [user for user in self.users if user.running]
        names = sorted({user.instance.name for user in running or self.users})
        hint = (
            f"stop and remove them first: envbuild rm --force {' '.join(names)}"
            if running
            else f"remove them first: envbuild rm {' '.join(names)}; or volume rm --force"
        )
        return f"the volume {self.name} is used by {', '.join(names)}", hint


def users_of_volumes(store: Store) -> dict[str, list[User]]:
    """Return the users of each volume that has any, by its name."""
    instances = Instances.of(store.path)
    users: dict[str, list[User]] = {}
    for instance in instances.all():
        mounts = [mount for mount in settings_of(instance).mounts if mount.kind == VOLUME]
        if mounts:
            running = instances.state(instance).status not in (EXITED, LOST)
            for mount in mounts:
                users.setdefault(mount.source, []).append(User(instance, mount.target, mount.read_only, running))
    return users


def remove_volumes(store: Store, volumes: list[Volume], *, force: bool) -> None:
    """Remove all of them, or none.

    Raises VolumeInUse: with `force` only where an instance that runs needs one; what is over finds a fresh one when it
    is started again.
    """
    users = users_of_volumes(store)
    for volume in volumes:
        needed = [user for user in users.get(volume.name, []) if user.running or not force]
        if needed:
            raise VolumeInUse(volume.name, needed)
    for volume in volumes:
        Volumes.of(store).remove(volume)
