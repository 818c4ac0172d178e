"""Published ports of an instance: their syntax, and the sockets that are opened for them.

No right is needed for it and no address of the host's: what arrives is passed on to sockets inside (port_forwarder.py).
"""

from __future__ import annotations

import errno

from envbuild.errors import BadOption, UsageError, WorkFailed, fields
from envbuild.record import Record

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence
    from socket import socket


ANY = "0.0.0.0"
_BACKLOG = 4096
_LAST = 65_535
MAPPING_MEANS_NOTHING = (
    "with --network host an instance has this machine's ports already",
    "leave out -p and -P, or choose another --network",
)
_EXAMPLE = "-p 8080:80, -p 127.0.0.1:0:53/udp, -p [::1]:8000-8005:80-85"


class Port(Record):
    """One mapping: `host` address and port (0 for any free one) to the port `inside`; `protocol` is tcp or udp."""

    host: str
    number: int
    inside: int
    protocol: str


@fields
class PortTaken(WorkFailed):
    """A port of the host can't be opened: another program has it, or this user may not open it."""

    port: Port
    error: OSError

    def text(self) -> tuple[str, str]:
        port, error = self.port, self.error
        address = f"[{port.host}]" if ":" in port.host else port.host
        other = f"-p {8000 + port.number % 1000}:{port.inside}"
        hint = f"choose another port of the host, as in {other}, or 0 for any free one"
        if error.errno in (errno.EACCES, errno.EPERM):
            hint = f"ports below 1024 are root's (net.ipv4.ip_unprivileged_port_start): choose another, as in {other}"
        elif error.errno == errno.EADDRNOTAVAIL:
            hint = "choose an address that this machine has, or none for all of them"
        return f"{address}:{port.number}/{port.protocol} can't be opened: {error.strerror or error}", hint


@fields
class UnequalRanges(UsageError):
    """Ranges of ports of the host and inside that differ in length."""

    mapping: str
    outside: int
    inside: int

    def text(self) -> tuple[str, str]:
        return f"-p {self.mapping}: {self.outside} ports for {self.inside} inside", "give ranges of one length"


def parse_ports(text: str) -> tuple[Port, ...]:
    """Return the mappings of `-p [[ADDRESS:]PORT:]INSIDE[/udp]`, where PORT and INSIDE may be ranges of one length.

    Without PORT it is any free one. Raises UsageError.
    """
    body, slash, protocol = text.partition("/")
    if slash and protocol not in ("tcp", "udp"):
        raise BadOption(f"-p {text}", protocol, "protocol", "53/udp, 80/tcp")
    parts = body.rsplit(":", 2)
    host = parts[0] if len(parts) == 3 else ANY
    bracketed = host.startswith("[") and host.endswith("]")
    if not _is_address(host.strip("[]"), six=bracketed):
        raise BadOption(f"-p {text}", host, "address", _EXAMPLE)
    inside = _range(parts[-1])
    outside = range(1) if len(parts) == 1 or (len(parts) == 3 and not parts[1]) else _range(parts[-2])
    if inside is None or outside is None or 0 in inside:
        raise BadOption("-p", text, "PORT:INSIDE", _EXAMPLE)
    if outside == range(1):
        numbers = [0] * len(inside)
    elif len(outside) == len(inside):
        numbers = list(outside)
    else:
        raise UnequalRanges(text, len(outside), len(inside))
    pairs = zip(numbers, inside, strict=True)
    return tuple(Port(host.strip("[]"), number, pair, protocol or "tcp") for number, pair in pairs)


def exposed(expose: Sequence[str], given: Sequence[Port]) -> tuple[Port, ...]:
    """Return what `-P` maps: each port that the image says in `expose` to any free one of the host, unless it is
    given."""
    have = {(port.inside, port.protocol) for port in given}
    wanted = [parse_ports(text)[0] for text in expose]
    return tuple(port for port in wanted if (port.inside, port.protocol) not in have)


def _range(text: str) -> range | None:
    """Return the ports of PORT or FIRST-LAST; None if it is neither."""
    first, dash, last = text.partition("-")
    bounds = [first, last] if dash else [first, first]
    if not all(bound.isascii() and bound.isdigit() and len(bound) <= 5 for bound in bounds):
        return None
    low, high = map(int, bounds)
    return range(low, high + 1) if low <= high <= _LAST and not (dash and low == 0) else None


def _is_address(text: str, *, six: bool) -> bool:
    import socket as sockets  # here and below: most instances have no ports, and it is slow to load

    try:
        sockets.inet_pton(sockets.AF_INET6 if six else sockets.AF_INET, text)
    except (OSError, ValueError):  # ValueError for a NUL, and for bytes that are not UTF-8
        return False
    return True


def open_ports(ports: Sequence[Port]) -> list[tuple[Port, socket]]:
    """Return the sockets of the host, each with its mapping as it came to be. Raises PortTaken; none is left open then.

    They belong to the network that the process is in now, wherever it goes afterwards.
    """
    import socket as sockets

    opened: list[tuple[Port, socket]] = []
    try:
        for port in ports:
            listener = sockets.socket(
                sockets.AF_INET6 if ":" in port.host else sockets.AF_INET,
                sockets.SOCK_STREAM if port.protocol == "tcp" else sockets.SOCK_DGRAM,
            )
            opened.append((port, listener))
            try:
                _open(listener, port)
            except OSError as error:
                raise PortTaken(port, error) from error
            opened[-1] = (port.replace(number=listener.getsockname()[1]), listener)
    except PortTaken:
        for _, listener in opened:
            listener.close()
        raise
    return opened


def opened_ports(ports: Sequence[Port], first: Sequence[socket]) -> list[tuple[Port, socket]]:
    """Do what `open_ports` does, where the sockets of the first of them are there already."""
    there = [
        (port.replace(number=listener.getsockname()[1]), listener) for port, listener in zip(ports, first, strict=False)
    ]
    try:
        return there + open_ports(ports[len(first) :])
    except PortTaken:
        for listener in first:
            listener.close()
        raise


def _open(listener: socket, port: Port) -> None:
    import socket as sockets

    if listener.family == sockets.AF_INET6:
        # So that the same port of 0.0.0.0 can be mapped beside [::].
        listener.setsockopt(sockets.IPPROTO_IPV6, sockets.IPV6_V6ONLY, 1)
    if port.protocol == "tcp":
        # What an earlier listener left in TIME_WAIT is not in the way. What is accepted inherits the others.
        listener.setsockopt(sockets.SOL_SOCKET, sockets.SO_REUSEADDR, 1)
        listener.setsockopt(sockets.IPPROTO_TCP, sockets.TCP_NODELAY, 1)
        listener.setsockopt(sockets.SOL_SOCKET, sockets.SO_KEEPALIVE, 1)
    listener.bind((port.host, port.number))
    if port.protocol == "tcp":
        listener.listen(_BACKLOG)
    listener.setblocking(False)
