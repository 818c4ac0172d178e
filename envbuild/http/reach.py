"""How far inside a network an address lies, and who may send us there.

What a recipe or the user's settings name is asked, wherever it is. What a server, a resolver or a lock names on top of
that may not lie further inside: else a server of the public network has this machine ask its own loopback, or its
cloud's metadata service, in its name.
"""

from __future__ import annotations

import enum
from ipaddress import IPv4Address, IPv6Address, IPv6Network, ip_address

_TRANSLATED = IPv6Network("64:ff9b::/96")
"""IPv4 addresses as NAT64 writes them (RFC 6052)."""
_COMPATIBLE = IPv6Network("::/96")
"""IPv4 addresses as IPv6 once wrote them (RFC 4291, 2.5.5.1); `::` and `::1` are none of these."""
_METADATA = frozenset(("fd00:ec2::254", "100.100.100.200", "168.63.129.16", "192.0.0.192", "metadata.google.internal"))
"""Where clouds answer to the machine itself as they do at 169.254.169.254, and that is not link-local."""


class Level(enum.IntEnum):
    """Where an address leads to, from the outside inward."""

    PUBLIC = 0
    PRIVATE = 1
    LINK_LOCAL = 2
    LOOPBACK = 3

    def admits(self, other: Level) -> bool:
        """Return whether who is here may send us there."""
        return other in (Level.PUBLIC, self) or (other == Level.PRIVATE and self != Level.PUBLIC)

    @property
    def words(self) -> str:
        """What it is called."""
        return self.name.lower().replace("_", "-")


def level_of(address: str) -> Level:
    """Return where an IP address in digits lies; what is of no network at all counts as the innermost."""
    try:
        known = _meant(address)
    except ValueError:
        return Level.LOOPBACK
    if known.is_loopback or known.is_unspecified or known.is_multicast:
        return Level.LOOPBACK
    if known.is_link_local:
        return Level.LINK_LOCAL
    return Level.PUBLIC if known.is_global else Level.PRIVATE


def is_metadata(host: str) -> bool:
    """Return whether a name or address is that of a cloud's metadata service, beside the link-local ones."""
    try:
        return str(_meant(host)) in _METADATA
    except ValueError:
        return host.rstrip(".") in _METADATA


def _meant(address: str) -> IPv4Address | IPv6Address:
    """Return an address, for an IPv6 one that stands for an IPv4 address that. Raises ValueError."""
    known = ip_address(address.partition("%")[0])
    if isinstance(known, IPv6Address):
        if known in _TRANSLATED or (known in _COMPATIBLE and int(known) > 1):
            return IPv4Address(int(known) & 0xFFFFFFFF)
        return known.ipv4_mapped or known.sixtofour or known
    return known


def level_of_name(host: str) -> Level:
    """Return where a host lies as far as its name tells, without asking anybody."""
    host = host.rstrip(".")
    if host == "localhost" or host.endswith(".localhost"):
        return Level.LOOPBACK
    try:
        ip_address(host.partition("%")[0])
    except ValueError:
        # 127.1, 0x7f000001 and 2130706433 are addresses for getaddrinfo(3), and for no reader of names.
        return Level.LOOPBACK if host.rpartition(".")[2][:1].isdigit() else Level.PUBLIC
    return level_of(host)
