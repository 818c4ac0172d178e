"""Checks before anything starts: whether directories, volumes and ports of the host are available."""

from __future__ import annotations

import os

from envbuild.compose.file.model import Group, Service
from envbuild.compose.file.reader import ServiceErrors
from envbuild.compose.instance_plan import Plan, instance_name
from envbuild.compose.members import Emit, Warned, members
from envbuild.errors import UsageError, fields
from envbuild.instances.network.ports import Port, open_ports
from envbuild.instances.network.select import check_network
from envbuild.instances.records import Instances
from envbuild.instances.volumes import Volumes
from envbuild.store.store import Store
from envbuild.text.diagnostics import Diagnostic

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence


@fields
class SamePort(UsageError):
    """Two services want one port of the host."""

    services: tuple[str, str]
    port: Port

    def text(self) -> tuple[str, str]:
        (first, second), port = self.services, self.port
        return (
            f"{first} and {second} both want {port.host}:{port.number}/{port.protocol}",
            "choose another one for one of them",
        )


def make_folders(group: Group, services: Sequence[Service], emit: Emit) -> tuple[Service, ...]:
    """Return the services with the real paths of what they bind.

    Folders that are not there are made where compose makes them. The process acts for the user and has no other rights.
    Raises ServiceErrors.
    """
    wrong: list[Diagnostic] = []
    prepared = []
    for service in services:
        mounts = []
        for mount in service.mounts:
            source = os.path.realpath(mount.source) if mount.kind == "bind" else mount.source
            if mount.kind == "bind" and not os.path.exists(source):
                if not mount.create:
                    wrong.append(group.problem(mount.span, f"{source} does not exist", "create it first"))
                    continue
                try:
                    os.makedirs(source)
                    emit(Warned(f"the directory {source} was created, as {service.name} binds it"))
                except OSError as error:
                    wrong.append(group.problem(mount.span, f"{source} can't be created: {error.strerror}"))
            mounts.append(mount.replace(source=source))
        prepared.append(service.replace(mounts=tuple(mounts)))
    if wrong:
        raise ServiceErrors(wrong)
    return tuple(prepared)


def check_volumes(store: Store, group: Group, services: Sequence[Service]) -> None:
    """Raise ServiceErrors where a volume that is somebody else's is not there."""
    used = {mount.source for service in services for mount in service.mounts if mount.kind == "volume"}
    missing = [
        volume
        for volume in group.volumes
        if volume.external and volume.name in used and Volumes.of(store).get(volume.name) is None
    ]
    if missing:
        hint = "it is external: create it first, or leave out external"
        raise ServiceErrors(
            [group.problem(volume.span, f"there is not a valid volume '{volume.name}'", hint) for volume in missing]
        )


def check_names(store: Store, group: Group, services: Sequence[Service]) -> None:
    """Raise ServiceErrors where an instance of something else, or of another service, has the name of one."""
    instances = Instances.of(store.path)
    own = {member.instance.name for member in members(instances, group.name)}
    taken = dict.fromkeys(
        {instance.name for instance in instances.all()} - own, "an instance that is not of this group"
    )
    wrong = []
    for service in services:
        name = instance_name(group, service)
        if name in taken:
            hint = f"choose another one: container_name; or another name for the group; or: envbuild rm {name}"
            wrong.append(group.problem(service.span, f"{name} is the name of {taken[name]}", hint))
        taken[name] = f"the service {service.name}"
    if wrong:
        raise ServiceErrors(wrong)


def check_networks(services: Sequence[Service]) -> None:
    """Raise MachineLacks where this machine can't make the network of a service, and UsageError where two services want
    the same port of it."""
    for network in sorted({service.network for service in services}):
        check_network(network)
    asked: dict[tuple[str, int, str], str] = {}
    for service in services:
        for port in service.ports:
            key = (port.host, port.number, port.protocol)
            if port.number and key in asked:
                raise SamePort((asked[key], service.name), port)
            asked[key] = service.name


def check_ports(plans: Sequence[Plan], held: Sequence[tuple[object, ...]]) -> None:
    """Raise PortTaken where the ports of these plans can't all be opened.

    `held` are those of instances that make place for them, as (address, port, inside, protocol).
    """
    free = {(port[1], port[3]) for port in held}
    wanted = [port for plan in plans for port in plan.settings.ports if (port.number, port.protocol) not in free]
    _open(wanted)


def _open(ports: Sequence[Port]) -> None:
    for _, socket in open_ports(ports):
        socket.close()
