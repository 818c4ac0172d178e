"""Datagrams to a published port: each sender gets its own socket inside, so that answers find their way back."""

from __future__ import annotations

import time
from collections.abc import Callable
from socket import socket

from envbuild.instances.network.port_traffic import PortTraffic

MAX_FLOWS = 1024
"""So many senders at once have a socket inside; the one that was silent longest makes room."""
IDLE = 60.0
"""Seconds without a datagram either way after which a sender is forgotten."""
MAX_WAITING = 256
"""UdpRelay that wait for a socket inside; more are lost."""
_MAX_DATAGRAM = 65_536
_ROUNDS = 64
Key = tuple[int, object]


class _Flow:
    __slots__ = ("address", "inner", "key", "listener", "used")

    def __init__(self, key: Key, listener: socket, inner: socket, address: object) -> None:
        self.key = key
        self.listener = listener
        self.inner = inner
        self.address = address
        self.used = 0.0


class UdpRelay:
    """The flows of all UDP ports of one instance."""

    def __init__(
        self,
        traffic: PortTraffic,
        take: Callable[[], socket | None],
        watch: Callable[[socket], None],
        forget: Callable[[socket], None],
        full: Callable[[], bool] = lambda: False,
    ) -> None:
        """`traffic` counts what is passed on. `take` gives a socket inside, None if there is none just now; `watch` has
        the answers of one looked for and `forget` ends that. While it is `full` there is none for a new sender until
        another one is forgotten."""
        self._traffic = traffic
        self._take = take
        self._watch = watch
        self._forget = forget
        self._full = full
        self._flows: dict[Key, _Flow] = {}
        self._answers: dict[int, _Flow] = {}
        self._waiting: list[tuple[int, socket, bytes, object]] = []

    def __len__(self) -> int:
        return len(self._flows)

    def owns(self, descriptor: int) -> bool:
        """Tell whether it is a socket inside of a flow."""
        return descriptor in self._answers

    def arrive(self, port: int, listener: socket) -> None:
        """Pass on what came in from outside."""
        for _ in range(_ROUNDS):
            try:
                data, address = listener.recvfrom(_MAX_DATAGRAM)
            except BlockingIOError:
                return
            except OSError:
                continue  # an answer could not be delivered: told once, and of no use here
            if not self._pass(port, listener, data, address) and len(self._waiting) < MAX_WAITING:
                self._waiting.append((port, listener, data, address))

    def stocked(self) -> None:
        """There are sockets inside again."""
        waiting, self._waiting = self._waiting, []
        for number, datagram in enumerate(waiting):
            if not self._pass(*datagram):
                self._waiting = waiting[number:]
                return

    def answer(self, descriptor: int) -> None:
        """Pass on what a service inside said."""
        flow = self._answers[descriptor]
        flow.used = time.monotonic()
        for _ in range(_ROUNDS):
            try:
                answer = flow.inner.recv(_MAX_DATAGRAM)
                self._traffic.outward.bytes += flow.listener.sendto(answer, flow.address)  # type: ignore[call-overload]
            except OSError:
                return  # no more of it; or nobody listens there, or the way back is full: a datagram may be lost

    def make_room(self) -> bool:
        """Forget the sender that was silent longest; False if there is none."""
        if not self._flows:
            return False
        self._end(self._longest_silent())
        return True

    def expire(self) -> None:
        """Forget who was silent for long."""
        limit = time.monotonic() - IDLE
        for flow in list(self._flows.values()):
            if flow.used < limit:
                self._end(flow)

    def clear(self) -> None:
        """Forget all: the network inside is gone."""
        self._waiting.clear()
        for flow in list(self._flows.values()):
            self._end(flow)

    def _pass(self, port: int, listener: socket, data: bytes, address: object) -> bool:
        key = (listener.fileno(), address)
        flow = self._flows.get(key)
        if flow is None:
            inner = self._take()
            if inner is None:
                if self._full():
                    self.make_room()
                return False
            flow = self._begin(_Flow(key, listener, inner, address), port)
        flow.used = time.monotonic()
        try:
            self._traffic.inward.bytes += flow.inner.send(data)
        except OSError:
            pass  # nobody listens there: a datagram may be lost
        return True

    def _begin(self, flow: _Flow, port: int) -> _Flow:
        if len(self._flows) >= MAX_FLOWS:
            self._end(self._longest_silent())
        flow.inner.setblocking(False)
        flow.inner.connect(("127.0.0.1", port))
        self._flows[flow.key] = self._answers[flow.inner.fileno()] = flow
        self._watch(flow.inner)
        return flow

    def _longest_silent(self) -> _Flow:
        return min(self._flows.values(), key=lambda flow: flow.used)

    def _end(self, flow: _Flow) -> None:
        del self._flows[flow.key]
        del self._answers[flow.inner.fileno()]
        self._forget(flow.inner)
        flow.inner.close()
