"""The hosts of `run(network="...")`: what a list of them means, and the one way in which a host is written.

`example.org` is that name alone and `*.example.org` every name below it. A port follows a colon; without one the ports
of http and https are meant. Addresses are in digits, IPv6 ones in brackets.
"""

from __future__ import annotations

from envbuild.language.values import InvalidValue
from envbuild.record import Record
from envbuild.text.pattern import Pattern

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

HOST_NETWORK = "host"
"""`network=host`: the machine's own network, as it is."""
LOCALHOST = "localhost"
WEB_PORTS = (80, 443)
MAX_PORT = 65535
MAX_HOSTS = 200
"""How many hosts a list has."""
_MAX_NAME = 253
_LABEL = Pattern(r"[a-z0-9_]([a-z0-9_-]{0,61}[a-z0-9_])?")
_PORT = Pattern(r"[1-9][0-9]{0,4}")
_NO_HOSTS = ("any", "all", "bridge", "false", "no", "none", "off", "on", "private", "true", "yes", "*")
_EXAMPLE = 'as in: network="pypi.example:443, *.example.org", network=host, or just network'


class HostRule(Record):
    """One host of a list. With `below` it is every name that ends with a dot and `host`. A `literal` one is an address,
    or the machine itself by its usual name: it leads where whoever wrote it down says."""

    host: str
    ports: tuple[int, ...]
    below: bool = False
    literal: bool = False

    def admits(self, host: str, port: int) -> bool:
        """Return whether a host, as `host_of` writes it, may be asked at this port."""
        named = host.endswith(f".{self.host}") if self.below else host == self.host
        return named and port in self.ports

    @property
    def text(self) -> str:
        """The rule as a list has it."""
        ports = "" if self.ports == WEB_PORTS else f":{self.ports[0]}"
        return f"{'*.' if self.below else ''}{bracketed(self.host)}{ports}"


def network(text: str) -> str:
    """Return a `network=` in its one form: `host`, or the sorted list of hosts."""
    if text.strip() == HOST_NETWORK:
        return HOST_NETWORK
    return ", ".join(sorted({rule.text for rule in read_rules(text)}))


def read_rules(text: str) -> tuple[HostRule, ...]:
    """Return the rules of a list. Raises InvalidValue."""
    words = text.replace(",", " ").split()
    if not words:
        raise InvalidValue("network= names no host", _EXAMPLE)
    if len(words) > MAX_HOSTS:
        raise InvalidValue(f"network= names {len(words)} hosts", f"no more than {MAX_HOSTS} are taken")
    return tuple(map(_rule, words))


def _rule(word: str) -> HostRule:
    if word.lower() in _NO_HOSTS:
        raise InvalidValue(f"'{word}' is not a valid network", _EXAMPLE)
    if "/" in word or "@" in word:
        raise InvalidValue(f"'{word}' is not a host", "write the host alone, with its port: example.org:443")
    name = word
    ports: tuple[int, ...] = WEB_PORTS
    plain, colon, port = word.rpartition(":")
    if colon and not word.endswith("]") and ":" not in plain.rpartition("]")[2]:
        if not _PORT.fullmatch(port) or int(port) > MAX_PORT:
            raise InvalidValue(f"'{port}' is not a valid port", "a port is a number from 1 to 65535")
        name, ports = plain, (int(port),)
    below = name.startswith("*.")
    host = host_of(name.removeprefix("*."))
    literal = host == LOCALHOST or is_address(host)
    if below and literal:
        raise InvalidValue(f"'{word}' is not a host", "*. stands before a name, as in *.example.org")
    return HostRule(host, ports, below, literal)


def host_of(text: str) -> str:
    """Return a host in its one form: lower case, without a dot at the end, an address in digits as short as it gets.
    Raises InvalidValue for what is neither a name nor an address to every reader: 127.1 and 0x7f000001 are addresses
    for some programs."""
    from ipaddress import IPv4Address, IPv6Address  # only for steps with a network

    if text.startswith("["):
        try:
            address = IPv6Address(text.removeprefix("[").removesuffix("]") if text.endswith("]") else "")
        except ValueError:
            raise _no_host(text) from None
        if address.scope_id is not None:
            raise InvalidValue(f"'{text}' has a zone", "leave out % and what follows")
        return str(address.ipv4_mapped or address)
    name = text.lower().removesuffix(".")
    labels = name.split(".")
    if len(name) > _MAX_NAME or not all(map(_LABEL.fullmatch, labels)):
        raise _no_host(text)
    if labels[-1][0].isdigit():
        try:
            return str(IPv4Address(name))
        except ValueError:
            raise _no_host(text) from None
    return name


def is_address(host: str) -> bool:
    """Return whether a host, as `host_of` writes it, is an address."""
    return ":" in host or host.rpartition(".")[2][:1].isdigit()


def bracketed(host: str) -> str:
    """Return a host as it stands before a port."""
    return f"[{host}]" if ":" in host else host


def _no_host(text: str) -> InvalidValue:
    hint = "a host is a name in ASCII or an address in its usual form: example.org, 192.0.2.1, [2001:db8::1]"
    return InvalidValue(f"'{text[:100]}' is not a host", hint)


def admits(rules: Sequence[HostRule], host: str, port: int) -> bool:
    """Return whether one of the rules lets a host be asked at a port."""
    return any(rule.admits(host, port) for rule in rules)
