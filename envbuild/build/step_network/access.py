"""What a step may ask: the hosts of its list, and of their addresses those that are not the machine's own."""

from __future__ import annotations

import socket

from envbuild.http.reach import Level, is_metadata, level_of, level_of_name
from envbuild.language.network_hosts import WEB_PORTS, HostRule, admits, bracketed
from envbuild.record import Record
from envbuild.sandbox.spec import MAX_DOORS, Door
from envbuild.store.network_record import NOT_LISTED

_ANY_PORT = 9
"""Asked of nobody: the kernel looks for a way to an address when a socket for datagrams is connected to it."""


class Access(Record):
    """`rules` are the hosts that may be asked, None for any. `servers` are hosts and ports that the machine's own
    settings name, which may lie anywhere, also on its loopback."""

    rules: tuple[HostRule, ...] | None
    servers: frozenset[tuple[str, int]] = frozenset()

    def refusal(self, host: str, port: int) -> str:
        """Return why a host, as `host_of` writes it, may not be asked at a port; "" if it may."""
        if self.rules is not None and not admits(self.rules, host, port):
            return NOT_LISTED
        return "" if self.is_literal(host, port) else _inner(level_of_name(host)) or _of_cloud(host)

    def refusal_of_address(self, host: str, port: int, address: str) -> str:
        """Return why an address of a host may not be connected to; "" if it may. A name that leads to the machine
        itself was made to do so by somebody else (DNS rebinding)."""
        level = level_of(address)
        if (host, port) in self.servers or (level != Level.LINK_LOCAL and self.is_literal(host, port)):
            return ""
        return _inner(level) or _of_cloud(address) or ("it is an address of this machine" if is_own(address) else "")

    def is_literal(self, host: str, port: int) -> bool:
        """Return whether somebody wrote down this very server, wherever it is."""
        if (host, port) in self.servers:
            return True
        return any(rule.literal and rule.admits(host, port) for rule in self.rules or ())

    @property
    def doors(self) -> tuple[Door, ...]:
        """The servers that programs of the step connect to by themselves, as ssh does: those whose name and port stand
        in the list, but for the ports of the web, where programs ask the proxy."""
        servers = sorted(
            (rule.host, rule.ports[0])
            for rule in self.rules or ()
            if not (rule.below or rule.literal) and not set(rule.ports) & set(WEB_PORTS)
        )[:MAX_DOORS]
        addresses = {host: f"127.0.0.{number}" for number, host in enumerate(sorted({host for host, _ in servers}), 2)}
        return tuple(Door(host, addresses[host], port) for host, port in servers)

    @property
    def no_proxy(self) -> str:
        """The hosts that programs of the step ask themselves: its own loopback, but for what is meant to be the
        machine's."""
        named = {host for host, _ in self.servers} | {rule.host for rule in self.rules or () if rule.literal}
        return ",".join(host for host in ("localhost", "127.0.0.1", "::1") if host not in named)


def host_and_port(host: str, port: int) -> str:
    """Return both in one word."""
    return f"{bracketed(host)}:{port}"


def is_own(address: str) -> bool:
    """Return whether an address is one of this machine's: those are reached from themselves. Nothing is sent."""
    try:
        with socket.socket(socket.AF_INET6 if ":" in address else socket.AF_INET, socket.SOCK_DGRAM) as asked:
            asked.connect((address, _ANY_PORT))
            return str(asked.getsockname()[0]).partition("%")[0] == address.partition("%")[0]
    except OSError:
        return False  # no way leads there


def _inner(level: Level) -> str:
    return f"it is a {level.words} address" if level in (Level.LOOPBACK, Level.LINK_LOCAL) else ""


def _of_cloud(host: str) -> str:
    return "it is a cloud's metadata service" if is_metadata(host) else ""
