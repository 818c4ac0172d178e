"""`ports` of a service: each form is turned into mappings of single ports."""

from __future__ import annotations

import re
from ipaddress import ip_address

from envbuild.compose.file.reader import Reader
from envbuild.compose.file.yaml_nodes import Map, Node
from envbuild.instances.network.ports import Port
from envbuild.language.values import InvalidValue

ANYWHERE = "0.0.0.0"
_FORM = "as in: 8080:80, 127.0.0.1:8080:80, 5000-5009:5000-5009, 53:53/udp"


def read_ports(reader: Reader, node: Node) -> tuple[Port, ...]:
    """Return all mappings of a service."""
    ports: list[Port] = []
    for item in reader.items(node, "ports"):
        if isinstance(item, Map):
            ports += _long(reader, item)
        else:
            ports += reader.checked(short_ports, item, "a port") or ()
    return tuple(ports)


def short_ports(text: str) -> tuple[Port, ...]:
    """Return the mappings of `[[ADDRESS:]HOST:]INSIDE[/PROTOCOL]`. Raises InvalidValue."""
    body, _, protocol = text.partition("/")
    host, colon, numbers = "", "", body
    if body.startswith("["):
        host, colon, numbers = body[1:].partition("]:")
    elif body.count(":") > 1:
        host, colon, numbers = body.partition(":")
    if colon and not host:
        raise InvalidValue(f"'{text}' is not a valid port", _FORM)
    published, colon, target = numbers.rpartition(":")
    return mappings(host, published, target, protocol or "tcp", text)


def mappings(host: str, published: str, target: str, protocol: str, text: str) -> tuple[Port, ...]:
    """Return a mapping for each port of the range `target`, to free ports if nothing is `published`.

    Raises InvalidValue.
    """
    if protocol not in ("tcp", "udp"):
        raise InvalidValue(f"'{protocol}' is not a valid protocol of a port", "it is tcp or udp, as in 53:53/udp")
    try:
        address = str(ip_address(host or ANYWHERE))
    except ValueError:
        raise InvalidValue(f"'{host}' is not a valid address", "as in: 127.0.0.1:8080:80 or [::1]:8080:80") from None
    inside = _range(target, text)
    outside = _range(published, text) if published else (0,) * len(inside)
    if len(outside) != len(inside):
        message = f"{len(outside)} ports of the host can't be mapped to {len(inside)} inside"
        raise InvalidValue(message, "give ranges of the same size")
    return tuple(Port(address, a, b, protocol) for a, b in zip(outside, inside, strict=True))


def port_range(text: str) -> tuple[int, ...]:
    """Return the ports of `PORT` or `FIRST-LAST`, a protocol may follow. Raises InvalidValue."""
    body, slash, protocol = text.partition("/")
    if slash and protocol not in ("tcp", "udp"):
        raise InvalidValue(f"'{protocol}' is not a valid protocol of a port", "it is tcp or udp")
    return _range(body, text)


def _range(text: str, whole: str) -> tuple[int, ...]:
    match = re.fullmatch(r"([0-9]{1,5})(?:-([0-9]{1,5}))?", text)
    if not match:
        raise InvalidValue(f"'{whole}' is not a valid port", _FORM)
    first, last = int(match[1]), int(match[2] or match[1])
    if not 1 <= first <= last <= 65_535:
        raise InvalidValue(f"'{text}' is not a valid port", "a port is a number from 1 to 65535")
    return tuple(range(first, last + 1))


def _long(reader: Reader, node: Map) -> tuple[Port, ...]:
    # `mode`, `name` and `app_protocol` say something to other platforms and nothing on one machine.
    known = ("target", "published", "host_ip", "protocol", "mode", "name", "app_protocol")
    given = {
        entry.key.text: reader.text(entry.value, entry.key.text) for entry in reader.entries(node, "a port", known)
    }
    if None in given.values():
        return ()
    if "target" not in given:
        reader.error(node.span, "a port needs its number inside", "as in: target: 80")
        return ()
    plain = {name: str(value) for name, value in given.items()}
    try:
        return mappings(
            plain.get("host_ip", ""),
            plain.get("published", ""),
            plain["target"],
            plain.get("protocol", "tcp"),
            plain["target"],
        )
    except InvalidValue as wrong:
        reader.error(node.span, wrong.message, wrong.hint)
        return ()
