"""What a clone doesn't share with its source: name, ports, volumes."""

from __future__ import annotations

from envbuild.instances.config import VOLUME, Settings, settings_of
from envbuild.instances.network.ports import Port
from envbuild.instances.records import Instance, Instances
from envbuild.instances.volumes import Volumes


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
    return settings.replace(ports=ports or free, hostname="" if settings.hostname == first.name else settings.hostname)


def copied_volumes(volumes: Volumes, settings: Settings, name: str) -> Settings:
    """Return the settings with each volume that can be written replaced by a copy of it, VOLUME-NAME."""
    mounts = []
    for mount in settings.mounts:
        known = volumes.get(mount.source) if mount.kind == VOLUME and not mount.read_only else None
        if known is not None:
            mount = mount.replace(source=volumes.copy(known, f"{mount.source}-{name}").name)
        mounts.append(mount)
    return settings.replace(mounts=tuple(mounts))
