"""What a clone doesn't share with its source: name, ports, volumes."""

from __future__ import annotations

from envbuild.instances.config import VOLUME, Mount, Settings, settings_of
from envbuild.instances.network.ports import Port
from envbuild.instances.records import Instance, Instances
from envbuild.instances.volumes import Volume, VolumeExists, Volumes


def name_of_clone(instances: Instances, name: str) -> str:
    """Return NAME-2, or the next number that is free."""
    taken = {instance.name for instance in instances.all()}
    number = 2
    while f"{name}-{number}" in taken:
        number += 1
    return f"{name}-{number}"


def settings_of_clone(first: Instance, ports: tuple[Port, ...] = ()) -> Settings:
    """Return the settings of `first`, with `ports` if there are any, else with its own on free ports of the host."""
    settings = settings_of(first)
    free = tuple(port.replace(number=0) for port in settings.ports)
    # The volumes that were made for the first one stay its own.
    hostname = "" if settings.hostname == first.name else settings.hostname
    return settings.replace(ports=ports or free, hostname=hostname, own_volumes=())


def refuse_taken_volumes(volumes: Volumes, settings: Settings, name: str) -> None:
    """Raise VolumeExists where the copy of a volume can't have its name: before anything is copied."""
    for source in _copied(volumes, settings):
        if volumes.get(copy := f"{source}-{name}") is not None:
            raise VolumeExists(copy)


def copied_volumes(volumes: Volumes, settings: Settings, name: str, own: tuple[str, ...] = ()) -> Settings:
    """Return the settings with each volume that can be written replaced by a copy of it, VOLUME-NAME. The copies of
    those that are the first one's `own` are the clone's own."""
    copies = {
        source: volumes.copy(volume, f"{source}-{name}").name for source, volume in _copied(volumes, settings).items()
    }
    mounts = (
        mount.replace(source=copies[mount.source]) if _is_writable(mount) and mount.source in copies else mount
        for mount in settings.mounts
    )
    return settings.replace(mounts=tuple(mounts), own_volumes=tuple(copies[name] for name in own if name in copies))


def _copied(volumes: Volumes, settings: Settings) -> dict[str, Volume]:
    sources = dict.fromkeys(mount.source for mount in settings.mounts if _is_writable(mount))
    return {source: volume for source in sources if (volume := volumes.get(source)) is not None}


def _is_writable(mount: Mount) -> bool:
    return mount.kind == VOLUME and not mount.read_only
