"""The services of `envbuild bisect --group`: a group of its own for one search, which ends with it.

It is brought up once and not for each candidate: a data base takes longer to start than a hundred tests. So candidates
are tried one after the other, and what the test writes into a service is there in the next run.
"""

from __future__ import annotations

import os

from envbuild.cli.environment import Environment
from envbuild.cli.group_options import display_of_group, load_group_of
from envbuild.cli.group_up import decide, take_down
from envbuild.compose.members import members
from envbuild.contexts import contextmanager
from envbuild.errors import UsageError, fields
from envbuild.instances.network import RESERVED
from envbuild.instances.records import EXITED, LOST, Instances
from envbuild.linux.forked import call_in_child
from envbuild.store.store import Store

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    from envbuild.compose.file.model import Group
    from envbuild.ui.compose_display import GroupDisplay


@fields
class WhichNetwork(UsageError):
    """A group whose services are in several networks, or in none."""

    file: str
    networks: list[str]

    def text(self) -> tuple[str, str]:
        if not self.networks:
            return f"{self.file}: no service is in a network of the group", "leave out network_mode"
        return (
            f"{self.file}: the services are in several networks: {', '.join(self.networks)}",
            "put those that the test needs into the network `default`",
        )


@contextmanager
def services_up(path: str, environment: Environment) -> Iterator[str]:
    """Bring the services of a file up; yield the name of the network that they are in. In the end they are ended, and
    removed with their volumes. The process has one thread and the rights of the user.

    Their ports are not published: the same group may be up beside it. Raises UsageError and ServiceFailed.
    """
    plain, _ = load_group_of([path], None, environment)
    group, _ = load_group_of([path], f"{plain.name}-bisect-{os.getpid()}", environment)
    services = tuple(service.replace(ports=(), container_name=None) for service in group.services)
    group = group.replace(services=services, notes=())
    network = _network(group)
    shown = display_of_group([service.name for service in services], environment)
    try:
        call_in_child(lambda: _bring_up(group, environment, shown))
        yield network
    finally:
        call_in_child(lambda: _end(group, environment, shown))


def _network(group: Group) -> str:
    """Return the network of the services: `default` if one is in it, else the only one. Raises WhichNetwork."""
    networks = sorted({service.network for service in group.services} - set(RESERVED))
    default = next((network.name for network in group.networks if network.key == "default"), "")
    if default in networks:
        return default
    if len(networks) != 1:
        raise WhichNetwork(group.file, networks)
    return networks[0]


def _bring_up(group: Group, environment: Environment, shown: GroupDisplay) -> None:
    from envbuild.cli.run_settings import machine_of
    from envbuild.compose.file.order import chosen
    from envbuild.compose.preflight import make_folders
    from envbuild.compose.up import Rollout

    services = make_folders(group, chosen(group, (), ()), shown)
    with Store.open(environment.store_path()) as store:
        decisions = decide(store, group, services, environment, shown)
        Rollout(store, group, shown).run(decisions, machine_of(environment))


def _end(group: Group, environment: Environment, shown: GroupDisplay) -> None:
    with Store.open(environment.store_path()) as store:
        environment.warn(_failed(Instances.of(store.path), group))
        take_down(store, group, shown)


def _failed(instances: Instances, group: Group) -> list[str]:
    """Return what is to be said of services that are not there any more: the test asked them in vain."""
    messages = []
    for member in members(instances, group.name):
        state = instances.state(member.instance)
        if state.status == LOST or (state.status == EXITED and state.code != 0):
            reason = state.error or (f"exit code {state.code}" if state.code is not None else state.status)
            messages.append(f"service {member.service} ended before the search did: {reason}")
    return messages
