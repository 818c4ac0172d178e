"""The proxy for a step, as its `network` says, and for what asks package indexes."""

from __future__ import annotations

from collections.abc import Sequence

from envbuild.build.step_network.access import Access
from envbuild.build.step_network.machine import machine_of, servers_of
from envbuild.build.step_network.settings import behind_proxy
from envbuild.build.step_network.step_proxy import StepProxy
from envbuild.build.step_network.traffic import Traffic
from envbuild.images.network_settings import NetworkSettings
from envbuild.language.network_hosts import HostRule, read_rules
from envbuild.packages.manager import Asked
from envbuild.record import Pairs
from envbuild.store.network_record import ANY, LISTED


def proxy_of_step(
    network: bool | str, settings: NetworkSettings, machine: tuple[Pairs, str], secrets: Sequence[bytes]
) -> tuple[StepProxy, NetworkSettings]:
    """Return the proxy of a step, and the machine's settings as its programs are to see them. `network` is as in
    language/statement_parts.py, and not the machine's own."""
    own = machine_of(*machine)
    rules = read_rules(network) if isinstance(network, str) else None
    access = Access(rules, own.servers)
    proxy = StepProxy(access, own, Traffic(ANY if rules is None else LISTED, secrets))
    return proxy, behind_proxy(settings, access.no_proxy)


def proxy_of_servers(
    asked: Asked, settings: NetworkSettings, machine: tuple[Pairs, str]
) -> tuple[StepProxy, NetworkSettings]:
    """Return the proxy for what may ask these servers and no others, and the settings that it sees."""
    own = machine_of(*machine)
    named = servers_of(asked.named)
    servers = sorted(named | servers_of(asked.others))
    access = Access(tuple(HostRule(host, (port,)) for host, port in servers), named)
    return StepProxy(access, own, Traffic(LISTED, ())), behind_proxy(settings, access.no_proxy)
