"""The published ports of one instance, served by a thread.

The sockets inside are made by the instance's process 1, and a socket belongs to the network that it was made in
whoever uses it (network_namespaces(7)): so nobody has to enter that network. Some are asked for ahead.
"""

from __future__ import annotations

import errno
import os
import select
import threading
import time
from collections import deque
from socket import IPPROTO_TCP, TCP_NODELAY, socket

from envbuild.instances.descriptor_limits import allowance, raise_limit
from envbuild.instances.network.port_traffic import PortTraffic
from envbuild.instances.network.ports import Port
from envbuild.instances.network.tcp_relay import EDGES, Connection, Direction, Places, reset
from envbuild.instances.network.udp_relay import UdpRelay
from envbuild.sandbox.exec_client import Session, drop

IN_STOCK = 32
"""Sockets that are asked for ahead, so that a connection need not wait for one."""
_ACCEPTED = 32
"""So many new connections of one port, then the others have their turn."""
_PAUSE = 0.1
"""Seconds until it is tried again when the machine has no descriptors left."""
_FULL = 1.0
"""Seconds until it is tried again when this process has taken all that ports may have, and nobody has left."""
_SWEEP = 10.0
"""Seconds between looks at which senders of datagrams were silent for long."""


class PortForwarder:
    """The ports of one instance, over all restarts of its command."""

    def __init__(self, opened: list[tuple[Port, socket]], session: Session, folder: str) -> None:
        """`folder` is the instance's own, where it says what went through."""
        self._listeners = {listener.fileno(): (port, listener) for port, listener in opened}
        self._session = session
        self._lock = threading.Lock()
        self._stock: dict[str, deque[int]] = {"tcp": deque(), "udp": deque()}
        self._asked = {"tcp": 0, "udp": 0}
        self._fresh = False
        self._closing = False
        self._places = Places()
        self._traffic = PortTraffic(folder)
        self._connections: dict[int, Connection] = {}
        self._more: dict[Direction, Connection] = {}
        self._deaf: set[int] = set()
        self._paused = 0.0
        self._ceiling = allowance().ceiling
        self._in_stock = IN_STOCK
        self._thread: threading.Thread | None = None
        if self._listeners:
            self._epoll = select.epoll()
            self._bell = os.eventfd(0, os.EFD_NONBLOCK | os.EFD_CLOEXEC)
            self._datagrams = UdpRelay(
                self._traffic, lambda: self._inner("udp"), self._watch, self._forget, self._is_full
            )

    def start(self) -> None:
        """Begin to serve."""
        if not self._listeners:
            return
        self._session.sockets = self._take
        self._epoll.register(self._bell, select.EPOLLIN)
        for descriptor in self._listeners:
            self._epoll.register(descriptor, select.EPOLLIN)
        raise_limit()
        self._ceiling = allowance().ceiling
        self._in_stock = min(IN_STOCK, max(2, self._ceiling // 16))
        self._thread = threading.Thread(target=self._serve, name="ports", daemon=True)
        self._thread.start()

    def begin(self) -> None:
        """The command was started, with a network of its own: what is in stock belongs to the one before."""
        if not self._listeners:
            return
        with self._lock:
            self._empty()
            self._asked = {"tcp": 0, "udp": 0}
            self._fresh = True
        for protocol in {port.protocol for port, _ in self._listeners.values()}:
            self._ask(protocol)
        self._ring()

    def close(self) -> None:
        """End it: the ports are free, and every connection is reset."""
        if self._thread is None:
            for _, listener in self._listeners.values():
                listener.close()
            return
        self._closing = True
        self._ring()
        self._thread.join()
        self._thread = None

    # The stock: sockets inside, which come in the thread that waits for the command.

    def _take(self, protocol: str, count: int, descriptors: tuple[int, ...]) -> None:
        fitting = [descriptor for descriptor in descriptors if descriptor < self._ceiling]
        for descriptor in descriptors:
            if descriptor >= self._ceiling:
                os.close(descriptor)
        with self._lock:
            rings = not self._stock[protocol]
            self._stock[protocol].extend(fitting)
            self._asked[protocol] = max(0, self._asked[protocol] - count)
        if not fitting:
            self._pause(_FULL)  # they were sent, and there was no room for them in this process
        if rings:
            self._ring()

    def _ask(self, protocol: str) -> bool:
        """Ask for what the stock lacks; False if nobody is there who could give it."""
        with self._lock:
            count = self._in_stock - len(self._stock[protocol]) - self._asked[protocol]
            self._asked[protocol] += max(0, count)
        try:
            return count <= 0 or self._session.ask_sockets(protocol, count)
        except OSError:
            return False

    def _inner(self, protocol: str) -> socket | None:
        """Return a socket inside, None if there is none just now: the bell rings when there is."""
        with self._lock:
            stock = self._stock[protocol]
            descriptor = stock.popleft() if stock else None
            low = len(stock) <= self._in_stock // 2
        if low:
            self._ask(protocol)
        return None if descriptor is None else socket(fileno=descriptor)

    def _empty(self) -> None:
        for stock in self._stock.values():
            while stock:
                os.close(stock.popleft())

    def _ring(self) -> None:
        os.eventfd_write(self._bell, 1)

    # The thread that serves.

    def _serve(self) -> None:
        connections, poll = self._connections, self._epoll.poll
        self._traffic.begin()
        while True:
            for descriptor, events in poll(self._seconds()):
                connection = connections.get(descriptor)
                if connection is not None:
                    self._happened(connection, descriptor, events)
                elif descriptor in self._listeners:
                    self._arrive(descriptor)
                elif descriptor == self._bell:
                    os.eventfd_read(self._bell)
                    if self._closing:
                        self._end_all()
                        return
                    self._answer_bell()
                elif self._datagrams.owns(descriptor):
                    self._datagrams.answer(descriptor)
            if self._more:
                self._go_on()
            if self._paused and time.monotonic() >= self._paused:
                self._paused = 0.0
                self._listen_again()
                self._datagrams.stocked()
            if len(self._datagrams):
                self._datagrams.expire()
            self._traffic.tell()

    def _seconds(self) -> float | None:
        if self._more:
            return 0
        seconds = _SWEEP if len(self._datagrams) else None
        for sooner in (self._traffic.seconds(), max(0.0, self._paused - time.monotonic()) if self._paused else None):
            if sooner is not None:
                seconds = sooner if seconds is None else min(seconds, sooner)
        return seconds

    def _answer_bell(self) -> None:
        with self._lock:
            fresh, self._fresh = self._fresh, False
        if fresh:
            self._datagrams.clear()
        self._datagrams.stocked()
        if not self._paused:
            self._listen_again()

    def _arrive(self, descriptor: int) -> None:
        port, listener = self._listeners[descriptor]
        if port.protocol == "udp":
            self._datagrams.arrive(port.inside, listener)
            return
        for _ in range(_ACCEPTED):
            # Senders of datagrams make room, as they come back by themselves.
            if self._is_full() and not self._datagrams.make_room():
                self._pause(_FULL)
                self._ignore(descriptor)
                return
            inner = self._inner("tcp")
            if inner is None and self._ask("tcp"):
                # They wait in the listener's own queue.
                self._ignore(descriptor)
                return
            try:
                outer, _ = listener.accept()
            except OSError as error:
                if inner is not None:
                    self._give_back(inner)
                if error.errno in (errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM):
                    self._pause(_PAUSE)
                    self._ignore(descriptor)
                return
            if inner is None:
                reset(outer)  # the instance has no network just now, as between two starts: as if nobody listened
                continue
            self._begin(Connection(outer, inner, port.inside, self._places, self._ceiling, self._traffic))

    def _give_back(self, inner: socket) -> None:
        with self._lock:
            self._stock["tcp"].appendleft(inner.detach())

    def _ignore(self, descriptor: int) -> None:
        self._deaf.add(descriptor)
        self._epoll.modify(descriptor, 0)

    def _is_full(self) -> bool:
        """Tell whether all descriptors are taken but those that are kept for control."""
        try:
            lowest = os.dup(self._bell)
        except OSError:
            return True
        os.close(lowest)
        return lowest >= self._ceiling

    def _pause(self, seconds: float) -> None:
        self._paused = time.monotonic() + seconds

    def _listen_again(self) -> None:
        while self._deaf:
            self._epoll.modify(self._deaf.pop(), select.EPOLLIN)

    def _begin(self, connection: Connection) -> None:
        connection.outer.setblocking(False)
        connection.inner.setblocking(False)
        connection.inner.setsockopt(IPPROTO_TCP, TCP_NODELAY, 1)
        try:
            connected = connection.connect()
        except OSError:
            connection.close(broken=True)  # as if nobody listened: the client is told at once
            return
        self._connections[connection.inner.fileno()] = connection
        self._epoll.register(connection.inner.fileno(), EDGES)
        if connected:
            self._open(connection)

    def _open(self, connection: Connection) -> None:
        self._connections[connection.outer.fileno()] = connection
        self._epoll.register(connection.outer.fileno(), EDGES)

    def _happened(self, connection: Connection, descriptor: int, events: int) -> None:
        try:
            if not connection.connected:
                if connection.connect():
                    self._open(connection)
                return
            for direction in connection.happened(descriptor, events):
                self._more[direction] = connection
        except OSError:
            self._end(connection, broken=True)
            return
        if connection.over:
            self._end(connection, broken=False)

    def _go_on(self) -> None:
        for direction, connection in list(self._more.items()):
            if direction not in self._more:
                continue
            try:
                if direction.move():
                    continue
                del self._more[direction]
            except OSError:
                self._end(connection, broken=True)
                continue
            if connection.over:
                self._end(connection, broken=False)

    def _end(self, connection: Connection, *, broken: bool) -> None:
        for direction in connection.directions:
            self._more.pop(direction, None)
        # Closing takes them out of what is watched: nobody else holds them.
        for side in (connection.outer, connection.inner):
            self._connections.pop(side.fileno(), None)
        connection.close(broken=broken)
        self._go_on_after_pause()

    def _go_on_after_pause(self) -> None:
        """There is room again."""
        if self._paused:
            self._paused = time.monotonic()

    def _watch(self, side: socket) -> None:
        self._epoll.register(side.fileno(), select.EPOLLIN)

    def _forget(self, side: socket) -> None:
        self._epoll.unregister(side.fileno())
        self._go_on_after_pause()

    def _end_all(self) -> None:
        for connection in set(self._connections.values()):
            connection.close(broken=True)
        self._connections.clear()
        self._datagrams.clear()
        self._traffic.close()
        for _, listener in self._listeners.values():
            listener.close()
        self._session.sockets = drop
        with self._lock:
            self._empty()
        self._epoll.close()
        os.close(self._bell)
