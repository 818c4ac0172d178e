"""How this machine itself reaches the web: through which proxies, and which servers its settings name."""

from __future__ import annotations

import base64
import ipaddress
from collections.abc import Iterable, Mapping
from urllib.parse import unquote, urlsplit

from envbuild.debian.apt_sources import machine_sources
from envbuild.errors import WorkFailed, fields
from envbuild.http.addresses import BadAddress, WebAddress, without_user
from envbuild.images.host_network import PIP_URLS, apt_proxies, npm_registry, pip_settings
from envbuild.language.network_hosts import host_of
from envbuild.language.values import InvalidValue
from envbuild.record import Pairs, Record

_PORTS = {"http": 80, "https": 443}


@fields
class BadProxy(WorkFailed):
    """A proxy of the machine's settings that can't be used."""

    address: str

    def text(self) -> tuple[str, str]:
        return (
            f"this machine's proxy {without_user(self.address)[:200]!r} can't be used for steps",
            "a proxy is http://HOST:PORT or https://HOST:PORT: see http_proxy and https_proxy",
        )


class Upstream(Record):
    """A proxy of the machine's: `credentials` are the value of Proxy-Authorization, "" for none."""

    host: str
    port: int
    encrypted: bool
    credentials: str


class Machine(Record):
    """The machine's settings. `proxies` are by scheme, with `all` for the rest and `no` for what goes without;
    `apt_proxies` are for `apt_hosts`. `servers` are hosts and ports that package managers are set to ask."""

    proxies: Pairs = ()
    apt_proxies: Pairs = ()
    apt_hosts: frozenset[str] = frozenset()
    servers: frozenset[tuple[str, int]] = frozenset()

    def upstream(self, scheme: str, host: str, port: int) -> Upstream | None:
        """Return the proxy for a request, None where the machine asks the host itself. Raises BadProxy."""
        own = dict(self.proxies)
        if host in self.apt_hosts and scheme in dict(self.apt_proxies):
            own = dict(self.apt_proxies)
        address = own.get(scheme) or own.get("all", "")
        if not address or goes_without(host, port, own.get("no", "")):
            return None
        return _upstream(address)


def goes_without(host: str, port: int, no_proxy: str) -> bool:
    """Return whether a `no_proxy` says that a host is asked without a proxy: it names hosts, with all names below them,
    and networks."""
    for word in no_proxy.lower().replace(",", " ").split():
        if word == "*" or word == f"{host}:{port}":
            return True
        if "/" in word:
            try:
                if ipaddress.ip_address(host) in ipaddress.ip_network(word, strict=False):
                    return True
            except ValueError:
                continue
        name = word.removesuffix(f":{port}").removeprefix("*").removeprefix(".").strip("[]")
        if name and (host == name or host.endswith(f".{name}")):
            return True
    return False


def machine_of(variables: Pairs, home: str) -> Machine:
    """Return the settings of this machine. `variables` are the user's about proxies and indexes, `home` is the user's
    folder."""
    known = dict(variables)
    sources = [source.uri for source in machine_sources() if not source.is_local]
    named = [word for key, value in pip_settings(known, home).items() if key in PIP_URLS for word in value.split()]
    return Machine(
        tuple(sorted(_proxies(known).items())),
        apt_proxies(known),
        frozenset(host for host, _ in servers_of(sources)),
        servers_of([*sources, *named, npm_registry(known, home)]),
    )


def servers_of(addresses: Iterable[str]) -> frozenset[tuple[str, int]]:
    """Return the hosts and ports of addresses; without those that are none of the web."""
    servers = set()
    for address in addresses:
        try:
            _, host, port = WebAddress(without_user(address)).server
            servers.add((host_of(f"[{host}]" if ":" in host else host), port))
        except (BadAddress, InvalidValue):
            continue
    return frozenset(servers)


def _proxies(variables: Mapping[str, str]) -> dict[str, str]:
    """Return the proxies that variables name, by scheme; those in lower case go before the others."""
    proxies: dict[str, str] = {}
    for name in sorted(variables):  # capitals come first
        if name.lower().endswith("_proxy"):
            proxies[name.lower().removesuffix("_proxy")] = variables[name]
    return {scheme: value for scheme, value in proxies.items() if value}


def _upstream(address: str) -> Upstream:
    try:
        parts = urlsplit(address if "://" in address else f"http://{address}")
        host, port = parts.hostname, parts.port
    except ValueError:
        raise BadProxy(address) from None
    if parts.scheme not in _PORTS or not host:
        raise BadProxy(address)
    credentials = ""
    if parts.username is not None:
        pair = f"{unquote(parts.username)}:{unquote(parts.password or '')}"
        credentials = "Basic " + base64.b64encode(pair.encode()).decode()
    return Upstream(host, port or _PORTS[parts.scheme], parts.scheme == "https", credentials)
