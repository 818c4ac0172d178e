"""The order in which services start: each after those that it depends on."""

from __future__ import annotations

from envbuild.compose.file.model import Group, Service
from envbuild.compose.file.reader import ServiceErrors
from envbuild.errors import UsageError, fields
from envbuild.text.diagnostics import Diagnostic
from envbuild.text.suggestion import did_you_mean

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Collection, Sequence


@fields
class NoSuchService(UsageError):
    """The command line names a service that the file lacks."""

    name: str
    file: str
    services: Sequence[str]

    def text(self) -> tuple[str, str]:
        hint = did_you_mean(self.name, self.services, f"it has: {', '.join(self.services)}")
        return f"there is no service '{self.name}' in {self.file}", hint


def wrong_dependencies(group: Group) -> list[Diagnostic]:
    """Return what is wrong with the dependencies of a file: services that are not there, and circles."""
    problems = []
    names = [service.name for service in group.services]
    for service in group.services:
        for dependency in service.depends:
            if dependency.service not in names and dependency.required:
                hint = did_you_mean(dependency.service, names, f"the services are: {', '.join(names)}")
                problems.append(
                    group.problem(
                        dependency.span, f"{service.name} depends on '{dependency.service}', which is not there", hint
                    )
                )
    seen: set[frozenset[str]] = set()
    for service in group.services:
        circle = _circle(group, service)
        if circle and frozenset(circle) not in seen:
            seen.add(frozenset(circle))
            span = next(dependency.span for dependency in service.depends if dependency.service == circle[1])
            shown = " -> ".join(circle)
            problems.append(
                group.problem(span, f"services wait for each other: {shown}", "one of them has to start first")
            )
    return problems


def _circle(group: Group, start: Service) -> tuple[str, ...]:
    """Return a way over dependencies from a service back to itself, the shortest; () without one."""
    ways: list[tuple[str, ...]] = [(start.name,)]
    been: set[str] = set()
    for way in ways:
        service = group.service(way[-1])
        for dependency in service.depends if service is not None else ():
            if dependency.service == start.name:
                return (*way, start.name)
            if dependency.service not in been:
                been.add(dependency.service)
                ways.append((*way, dependency.service))
    return ()


def chosen(group: Group, names: Collection[str] = (), profiles: Collection[str] = ()) -> tuple[Service, ...]:
    """Return the services that are meant, each after those that it depends on; equal ones in the file's order.

    With `names` these and what they depend on; else all that have no profile or one of `profiles`. Raises ServiceErrors
    if one that is needed has another profile, and UsageError kinds for unknown names.
    """
    for name in names:
        if group.service(name) is None:
            raise NoSuchService(name, group.file, [service.name for service in group.services])
    # A service that is named brings its own profiles with it, as compose has it.
    active = {*profiles, *(profile for name in names for profile in _named(group, name).profiles)}
    enabled = {
        service.name
        for service in group.services
        if not service.profiles or active & set(service.profiles) or "*" in active
    }
    wanted: dict[str, Service] = {}
    wrong: list[Diagnostic] = []

    def want(service: Service) -> None:
        if service.name in wanted:
            return
        for dependency in service.depends:
            if dependency.service in enabled:
                want(_named(group, dependency.service))
            elif dependency.required and group.service(dependency.service) is not None:
                profile = _named(group, dependency.service).profiles[0]
                message = f"{service.name} needs {dependency.service}, which only the profile {profile} has"
                wrong.append(
                    group.problem(dependency.span, message, f"add: --profile {profile}, or say required: false")
                )
        wanted[service.name] = service

    for service in group.services:
        if service.name in names or (not names and service.name in enabled):
            want(service)
    if wrong:
        raise ServiceErrors(wrong)
    # One with a scale of 0 is not to run.
    return tuple(service for service in wanted.values() if service.scale)


def _named(group: Group, name: str) -> Service:
    service = group.service(name)
    assert service is not None
    return service
