"""From a service and its image to the configuration of an instance."""

from __future__ import annotations

import json

from envbuild.compose.file.model import WHEN_HEALTHY, Group, Health, Service
from envbuild.compose.file.mounts import unnamed_volume
from envbuild.compose.file.reader import ServiceErrors
from envbuild.compose.members import AFTER, ANONYMOUS, GROUP, NAME, SERVICE, SETTINGS
from envbuild.digest import sha256_of
from envbuild.errors import EnvbuildError, UsageError, fields
from envbuild.images.accounts import Homes
from envbuild.images.find import facts_of
from envbuild.instances import config as runtime
from envbuild.instances.config import Limits, Restart, Settings, health_of, init_of, parameters_of, to_plain
from envbuild.instances.own_volumes import add_volumes, slug, undeclared
from envbuild.instances.sandbox_request import check_workdir
from envbuild.plan.image_config import Facts
from envbuild.record import Record
from envbuild.store.images import Image
from envbuild.store.store import Store
from envbuild.text.diagnostics import Diagnostic

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence


@fields
class NoHealthTest(UsageError):
    """A service says when to check its health, and nobody says how."""

    def text(self) -> tuple[str, str]:
        return "its healthcheck has no test, and its image no check", "add: test: [CMD, PROGRAM]"


class Plan(Record):
    """How a service is to run: the name of the instance, its image and the reference to that, and its configuration.
    Two plans with the same `digest` are equal."""

    service: Service
    name: str
    image: Image
    reference: str
    facts: Facts
    settings: Settings
    digest: str


def plan_all(
    store: Store, group: Group, services: Sequence[Service], images: Mapping[str, tuple[Image, str]]
) -> tuple[Plan, ...]:
    """Return the plans of these services; `images` are (image, reference) by the names of services.

    Raises ServiceErrors.
    """
    wrong: list[Diagnostic] = []
    plans = []
    for service in services:
        image, reference = images[service.name]
        try:
            plans.append(_plan(store, group, service, image, reference))
        except EnvbuildError as error:
            wrong.append(group.problem(service.span, f"{service.name}: {error.message}", error.hint))
    checked = {plan.service.name for plan in plans if plan.settings.health is not None}
    for plan in plans:
        for dependency in plan.service.depends:
            if (
                dependency.condition == WHEN_HEALTHY
                and dependency.service not in checked
                and group.service(dependency.service) in services
            ):
                message = f"{dependency.service} has no health check that {plan.service.name} could wait for"
                wrong.append(
                    group.problem(dependency.span, message, "add a healthcheck to it, or health to its recipe")
                )
    if wrong:
        raise ServiceErrors(wrong)
    return tuple(plans)


def instance_name(group: Group, service: Service) -> str:
    """Return the name of the instance of a service."""
    return service.container_name or f"{group.name}-{service.name}"


def _plan(store: Store, group: Group, service: Service, image: Image, reference: str) -> Plan:
    facts = facts_of(image)
    argv = facts.command(service.command, service.entrypoint)
    if not argv:
        raise runtime.NothingToRun(store.projects.shown(reference))
    user = facts.user if service.user is None else service.user
    settings = Settings(
        argv=argv,
        environment=tuple({**dict(parameters_of(facts, argv)), **dict(service.environment)}.items()),
        user=user,
        workdir=service.workdir or facts.workdir,
        home=Homes(store).of(image.tree, user),
        hostname=service.hostname or "",
        mounts=tuple(runtime.Mount(m.kind, m.source, m.target, m.read_only, m.size) for m in service.mounts),
        read_only=service.read_only,
        network=service.network,
        aliases=service.aliases,
        ports=service.ports,
        restart=Restart(service.restart, service.restarts),
        stop=service.stop or facts.stop,
        stop_timeout=10.0 if service.stop_timeout is None else service.stop_timeout,
        health=_health(service.health, facts),
        limits=Limits(service.memory, service.cpus, service.pids),
        labels=service.labels,
        init=init_of(facts, argv) if service.init is None else service.init,
    )
    check_workdir(store, image.tree, settings)
    digest = sha256_of(json.dumps([image.digest, to_plain(settings)]).encode())
    name = instance_name(group, service)
    # Not in the digest: groups of before have none, and are left alone.
    anonymous = [
        runtime.Mount(runtime.VOLUME, _volume_name(group, service, path), path)
        for path in undeclared(facts, settings.mounts)
    ]
    settings = add_volumes(settings, anonymous).replace(own_volumes=())
    own = {
        GROUP: group.name,
        SERVICE: service.name,
        NAME: name,
        SETTINGS: digest,
        AFTER: " ".join(dependency.service for dependency in service.depends),
        ANONYMOUS: " ".join((*service.anonymous, *(mount.source for mount in anonymous))),
    }
    settings = settings.replace(labels=(*service.labels, *own.items()))
    return Plan(service, name, image, reference, facts, settings, digest)


def _volume_name(group: Group, service: Service, path: str) -> str:
    """Return the name of a volume that the image of a service declares: another one for each path."""
    return unnamed_volume(group.name, service.name, f"{slug(path)}-{sha256_of(path.encode())[:8]}")


def _health(wanted: Health | None, facts: Facts) -> runtime.Health | None:
    """Return the image's check with what the file says of it, or the file's own."""
    if wanted is None:
        return health_of(facts)
    if wanted.off:
        return None
    check = runtime.Health(wanted.argv) if wanted.argv is not None else health_of(facts)
    if check is None:
        raise NoHealthTest
    names = ("every", "timeout", "retries", "start_period", "start_interval")
    given = {name: getattr(wanted, name) for name in names}
    return check.replace(**{name: value for name, value in given.items() if value is not None})
