"""Ports of an instance on the host: sockets that are opened there, and spliced into the instance's own network.

No right is needed for it and no address of the host's: the sockets inside are made by the instance's process 1, and a
socket belongs to the network that it was made in whoever uses it (network_namespaces(7)).
"""

from __future__ import annotations

import os
import select
import socket as sockets
import threading
from collections import deque
from collections.abc import Sequence
from socket import socket

from envbuild.errors import UsageError, WorkFailed
from envbuild.record import Record
from envbuild.sandbox.session import Session

IN_STOCK = 16
"""Sockets that are asked for ahead, so that a connection need not wait for one."""
_PIPE = 1 << 20
_BACKLOG = 1024
_F_SETPIPE_SZ = 1031
_DATAGRAM = 65_536
_IDLE_DATAGRAMS = 60.0


class Port(Record):
    """One mapping: `host` address and port (0 for any free one) to the port `inside`; `protocol` is tcp or udp."""

    host: str
    number: int
    inside: int
    protocol: str


class PortTaken(WorkFailed):
    """Somebody else has a port."""

    def __init__(self, port: Port, reason: str) -> None:
        super().__init__(
            f"{port.host}:{port.number}/{port.protocol} can't be opened: {reason}",
            f"choose another port of the host, as in -p {port.number + 8000}:{port.inside}, or 0 for any free one",
        )


def parse_port(text: str) -> Port:
    """The mapping of `-p [ADDRESS:]PORT:INSIDE[/udp]`. Raises UsageError."""
    body, _, protocol = text.partition("/")
    parts = body.rsplit(":", 2)
    host = parts[0] if len(parts) == 3 else "0.0.0.0"
    bracketed = host.startswith("[") and host.endswith("]")
    if not _is_address(host.strip("[]"), sockets.AF_INET6 if bracketed else sockets.AF_INET):
        raise UsageError(f"-p {text}: '{host}' is no address", "as in: -p 127.0.0.1:8080:80, -p [::1]:8080:80")
    host = host.strip("[]")
    numbers = parts[-2:]
    if len(numbers) != 2 or not all(one.isdigit() and int(one) < 65_536 for one in numbers) or int(numbers[1]) == 0:
        raise UsageError(f"-p {text}: not PORT:INSIDE", "as in: -p 8080:80, -p 127.0.0.1:0:53/udp")
    if protocol not in ("", "tcp", "udp"):
        raise UsageError(f"-p {text}: '{protocol}' is no protocol", "tcp or udp")
    return Port(host, int(numbers[0]), int(numbers[1]), protocol or "tcp")


def _is_address(text: str, family: int) -> bool:
    try:
        sockets.inet_pton(family, text)
    except OSError:
        return False
    return True


def open_ports(ports: Sequence[Port]) -> list[tuple[Port, socket]]:
    """The sockets of the host, each with its mapping as it came to be. Raises PortTaken; none is left open then."""
    opened: list[tuple[Port, socket]] = []
    try:
        for port in ports:
            family = sockets.AF_INET6 if ":" in port.host else sockets.AF_INET
            kind = sockets.SOCK_STREAM if port.protocol == "tcp" else sockets.SOCK_DGRAM
            one = socket(family, kind)
            opened.append((port, one))
            if port.protocol == "tcp":
                one.setsockopt(sockets.SOL_SOCKET, sockets.SO_REUSEADDR, 1)
            try:
                one.bind((port.host, port.number))
                if port.protocol == "tcp":
                    one.listen(_BACKLOG)
            except OSError as error:
                raise PortTaken(port, error.strerror or str(error)) from error
            one.setblocking(False)
            opened[-1] = (port.replace(number=one.getsockname()[1]), one)
    except PortTaken:
        for _, one in opened:
            one.close()
        raise
    return opened


class _Half:
    """One direction of a connection: what was read and not yet written waits in a pipe."""

    def __init__(self, source: socket, target: socket) -> None:
        self.source = source
        self.target = target
        self.reading, self.writing = os.pipe2(os.O_CLOEXEC | os.O_NONBLOCK)
        self.held = 0
        self.ended = False
        self.wide = False

    def move(self) -> bool:
        """Moves what can be moved; False when this direction is over."""
        while True:
            if not self.held and not self.ended:
                try:
                    count = os.splice(self.source.fileno(), self.writing, _PIPE)
                except BlockingIOError:
                    return True
                if not count:
                    self.ended = True
                elif count >= 1 << 16 and not self.wide:
                    self._widen()
                self.held = count
            while self.held:
                try:
                    self.held -= os.splice(self.reading, self.target.fileno(), self.held)
                except BlockingIOError:
                    return True
            if self.ended:
                try:
                    self.target.shutdown(sockets.SHUT_WR)
                except OSError:
                    pass  # the other side is gone already
                return False

    def close(self) -> None:
        os.close(self.reading)
        os.close(self.writing)

    def _widen(self) -> None:
        """More room once much is on its way: not every connection needs a megabyte."""
        import fcntl

        self.wide = True
        try:
            fcntl.fcntl(self.writing, _F_SETPIPE_SZ, _PIPE)
        except OSError:
            pass  # a user has only so much of it (pipe(7)): it works as it is


class _Connection:
    def __init__(self, outer: socket, inner: socket) -> None:
        self.outer = outer
        self.inner = inner
        self.halves = [_Half(outer, inner), _Half(inner, outer)]
        self.mask = {outer.fileno(): 0, inner.fileno(): 0}

    def wanted(self) -> dict[int, int]:
        """What to wait for at each of the two sockets."""
        wanted = {self.outer.fileno(): 0, self.inner.fileno(): 0}
        for half in self.halves:
            if half.held:
                wanted[half.target.fileno()] |= select.EPOLLOUT
            elif not half.ended:
                wanted[half.source.fileno()] |= select.EPOLLIN
        return wanted

    def close(self) -> None:
        for half in self.halves:
            half.close()
        self.outer.close()
        self.inner.close()


class PortMapper:
    """Serves the mapped ports of one instance, in a thread of its own, over all restarts of its command."""

    def __init__(self, opened: list[tuple[Port, socket]], session: Session) -> None:
        self._listeners = {one.fileno(): (port, one) for port, one in opened}
        self._session = session
        self._stock: dict[str, deque[int]] = {"tcp": deque(), "udp": deque()}
        self._arrived = threading.Condition()
        self._epoll = select.epoll()
        self._connections: dict[int, _Connection] = {}
        self._flows: dict[tuple[int, object], socket] = {}
        self._answers: dict[int, tuple[socket, object, socket]] = {}

    def start(self) -> None:
        """Begins to serve."""
        if not self._listeners:
            return
        self._session.sockets = self._take
        for descriptor in self._listeners:
            self._epoll.register(descriptor, select.EPOLLIN)
        threading.Thread(target=self._serve, name="ports", daemon=True).start()

    def end(self) -> None:
        """Nothing is served any more: the ports are free."""
        for _, listener in self._listeners.values():
            listener.close()

    def begin(self) -> None:
        """The command was started, with a network of its own: what is in stock belongs to the one before."""
        with self._arrived:
            for stock in self._stock.values():
                while stock:
                    os.close(stock.popleft())
        for protocol in {port.protocol for port, _ in self._listeners.values()}:
            self._session.ask_sockets(protocol, IN_STOCK)

    def _take(self, protocol: str, descriptor: int) -> None:
        with self._arrived:
            self._stock[protocol].append(descriptor)
            self._arrived.notify_all()

    def _inner(self, protocol: str) -> socket | None:
        with self._arrived:
            stock = self._stock[protocol]
            if not stock and not self._session.ask_sockets(protocol, IN_STOCK):
                return None
            if not self._arrived.wait_for(lambda: bool(stock), timeout=5):
                return None
            descriptor = stock.popleft()
            if len(stock) == IN_STOCK // 2:
                self._session.ask_sockets(protocol, IN_STOCK - len(stock))
        return socket(fileno=descriptor)

    def _serve(self) -> None:
        while True:
            for descriptor, _ in self._epoll.poll():
                if descriptor in self._listeners:
                    self._arrive(*self._listeners[descriptor])
                elif descriptor in self._connections:
                    self._relay(self._connections[descriptor])
                elif descriptor in self._answers:
                    self._answer(descriptor)

    def _arrive(self, port: Port, listener: socket) -> None:
        if port.protocol == "udp":
            self._datagrams(port, listener)
            return
        while True:
            try:
                outer, _ = listener.accept()
            except OSError:
                return
            inner = self._inner("tcp")
            try:
                if inner is None:
                    raise ConnectionRefusedError
                inner.connect(("127.0.0.1", port.inside))
            except OSError:
                # As if nobody listened: the client is told at once.
                outer.setsockopt(sockets.SOL_SOCKET, sockets.SO_LINGER, b"\1\0\0\0\0\0\0\0")
                outer.close()
                if inner is not None:
                    inner.close()
                continue
            for one in (outer, inner):
                one.setblocking(False)
                one.setsockopt(sockets.IPPROTO_TCP, sockets.TCP_NODELAY, 1)
            connection = _Connection(outer, inner)
            for descriptor in connection.mask:
                self._epoll.register(descriptor, 0)
                self._connections[descriptor] = connection
            self._relay(connection)

    def _relay(self, connection: _Connection) -> None:
        try:
            # Not one after the other: a direction that is over must not keep the other from going on.
            going = [half.move() if not (half.ended and not half.held) else False for half in connection.halves]
        except OSError:
            going = [False, False]
        if not any(going):
            for descriptor in connection.mask:
                self._epoll.unregister(descriptor)
                del self._connections[descriptor]
            connection.close()
            return
        for descriptor, wanted in connection.wanted().items():
            if connection.mask[descriptor] != wanted:
                self._epoll.modify(descriptor, wanted)
                connection.mask[descriptor] = wanted

    def _datagrams(self, port: Port, listener: socket) -> None:
        while True:
            try:
                data, address = listener.recvfrom(_DATAGRAM)
            except OSError:
                return
            key = (listener.fileno(), address)
            inner = self._flows.get(key)
            if inner is None:
                inner = self._inner("udp")
                if inner is None:
                    continue
                inner.connect(("127.0.0.1", port.inside))
                inner.setblocking(False)
                self._flows[key] = inner
                self._answers[inner.fileno()] = (inner, address, listener)
                self._epoll.register(inner.fileno(), select.EPOLLIN)
            try:
                inner.send(data)
            except OSError:
                continue  # nobody listens there: a datagram may be lost

    def _answer(self, descriptor: int) -> None:
        inner, address, listener = self._answers[descriptor]
        while True:
            try:
                data = inner.recv(_DATAGRAM)
            except OSError:
                return
            try:
                listener.sendto(data, address)  # type: ignore[call-overload]
            except OSError:
                return
