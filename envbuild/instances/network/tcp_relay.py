"""One connection to a published port: what arrives at either of its two sockets is sent on at the other.

Both are watched edge-triggered (epoll(7)), so nothing has to be told to the kernel while data flows. A message that
fits a buffer is read and written, two calls; where much is on its way it goes through a pipe (splice(2)), which moves
pages instead of copying bytes.
"""

from __future__ import annotations

import errno
import os
import select
import socket as sockets
from socket import socket

from envbuild.instances.network.port_traffic import Count, PortTraffic

EDGES = select.EPOLLIN | select.EPOLLOUT | select.EPOLLRDHUP | select.EPOLLET
"""What a socket of a connection is watched for."""
_READABLE = select.EPOLLIN | select.EPOLLRDHUP | select.EPOLLHUP | select.EPOLLERR
_ENDING = select.EPOLLRDHUP | select.EPOLLHUP | select.EPOLLERR
_RESET = b"\1\0\0\0\0\0\0\0"
"""struct linger {1, 0}: closing sends a reset (socket(7))."""
_MESSAGE = 1 << 16
_PIPE = 1 << 20
_FEW = 1 << 14
_ROUNDS = 16
"""So many reads of one connection, then the others have their turn."""
_F_SETPIPE_SZ = 1031

_buffer = bytearray(_MESSAGE)
_view = memoryview(_buffer)


def reset(connection: socket) -> None:
    """Close a connection so that the other side is told that it broke off."""
    try:
        connection.setsockopt(sockets.SOL_SOCKET, sockets.SO_LINGER, _RESET)
    except OSError:
        pass  # it is gone already
    connection.close()


class Direction:
    """One direction of a connection, whose bytes `moved` counts. What was read and could not be written yet waits in
    `left` or in the pipe."""

    __slots__ = ("_bulk", "_ceiling", "_held", "_left", "_moved", "_pipe", "ending", "over", "source", "target")

    def __init__(self, source: socket, target: socket, ceiling: int, moved: Count) -> None:
        self._ceiling = ceiling
        self._moved = moved
        self.source = source
        self.target = target
        self.ending = False
        self.over = False
        self._left = b""
        self._pipe: tuple[int, int] | None = None
        self._held = 0
        self._bulk = False

    @property
    def waits(self) -> bool:
        """Tell whether something was read that is not written yet."""
        return bool(self._held or self._left)

    def move(self) -> bool:
        """Move what can be moved. True when there is more at once, False when an edge will tell. Raises OSError."""
        for _ in range(_ROUNDS):
            if self.over or not self._written():
                return False
            try:
                drained = self._splice() if self._bulk else self._copy()
            except BlockingIOError:
                return False
            if drained:
                return False
        return True

    def _copy(self) -> bool:
        """Read and write one message. True when there was no more than that."""
        count = self.source.recv_into(_buffer)
        if not count:
            return self._end()
        try:
            sent = self.target.send(_view[:count])
        except BlockingIOError:
            sent = 0
        self._moved.bytes += sent
        if sent < count:
            self._left = bytes(_view[sent:count])
        if count == _MESSAGE:
            self._bulk = self._pipe is not None or self._make_pipe()
            return False
        # A short read has emptied the socket (epoll(7)), unless its end came together with the data.
        return not self.ending and not self._left

    def _splice(self) -> bool:
        assert self._pipe is not None
        count = os.splice(self.source.fileno(), self._pipe[1], _PIPE)
        if not count:
            return self._end()
        self._held = count
        if count < _FEW:
            self._bulk = False
        return False

    def _written(self) -> bool:
        """Write what waits; False if some of it still does."""
        try:
            while self._left:
                sent = self.target.send(self._left)
                self._moved.bytes += sent
                self._left = self._left[sent:]
            while self._held:
                assert self._pipe is not None
                sent = os.splice(self._pipe[0], self.target.fileno(), self._held)
                self._moved.bytes += sent
                self._held -= sent
        except BlockingIOError:
            return False
        return True

    def _end(self) -> bool:
        self.over = True
        try:
            self.target.shutdown(sockets.SHUT_WR)
        except OSError:
            pass  # the other side is gone already
        self.close()
        return True

    def _make_pipe(self) -> bool:
        """Tell whether there is a pipe: without one, as when no more descriptors are to be had, copying goes on."""
        import fcntl

        try:
            self._pipe = os.pipe2(os.O_CLOEXEC | os.O_NONBLOCK)
        except OSError:
            return False
        if self._pipe[1] >= self._ceiling:
            self.close()
            return False
        try:
            fcntl.fcntl(self._pipe[1], _F_SETPIPE_SZ, _PIPE)
        except OSError:
            pass  # a user has only so much of it (pipe(7)): it works as it is
        return True

    def close(self) -> None:
        """Give the pipe back."""
        if self._pipe is not None:
            os.close(self._pipe[0])
            os.close(self._pipe[1])
            self._pipe = None


class Places:
    """Where the services inside were found: on 127.0.0.1 or, such that listen on IPv6, on ::1."""

    def __init__(self) -> None:
        self._found: dict[int, str] = {}

    def of(self, inner: socket, port: int) -> list[str]:
        """Return the addresses to try for a port, the last one first."""
        if inner.family == sockets.AF_INET:
            return ["127.0.0.1"]
        # In this order: a socket that was refused at an IPv4 address can't be used for IPv6 (tried on Linux 6.18).
        return [self._found[port]] if port in self._found else ["::ffff:127.0.0.1", "::1"]

    def remember(self, port: int, address: str) -> None:
        """A service was found there: the next connection need not look for it."""
        self._found[port] = address

    def lost(self, port: int) -> None:
        """It is not there any more."""
        self._found.pop(port, None)


class Connection:
    """A connection: `outer` is its socket on the host, `inner` the one in the instance, which is yet to be connected
    to `port`. Its descriptors stay below `ceiling` as far as it can do without others."""

    __slots__ = ("_addresses", "_in", "_out", "_places", "connected", "inner", "outer", "port")

    def __init__(
        self, outer: socket, inner: socket, port: int, places: Places, ceiling: int, traffic: PortTraffic
    ) -> None:
        self.outer = outer
        self.inner = inner
        self.port = port
        self.connected = False
        self._in = Direction(outer, inner, ceiling, traffic.inward)
        self._out = Direction(inner, outer, ceiling, traffic.outward)
        self._places = places
        self._addresses = places.of(inner, port)

    def connect(self) -> bool:
        """Go on connecting the inner socket; True when it is. Raises OSError when nobody listens there."""
        while True:
            error = self.inner.connect_ex((self._addresses[-1], self.port))
            if error in (0, errno.EISCONN):
                self._places.remember(self.port, self._addresses[-1])
                self.connected = True
                return True
            if error == errno.EALREADY:
                return False
            if error != errno.EINPROGRESS:
                # Mostly it is known at once: on a loopback the answer comes within the call.
                self._addresses.pop()
                if not self._addresses:
                    self._places.lost(self.port)
                    raise OSError(error, os.strerror(error))

    def happened(self, descriptor: int, events: int) -> list[Direction]:
        """Go on after events at one of the two sockets; the directions that have more.

        Raises OSError when the connection broke off.
        """
        own, other = (self._in, self._out) if descriptor == self.outer.fileno() else (self._out, self._in)
        if events & _ENDING:
            own.ending = True
        more = []
        for direction, wanted in ((own, events & _READABLE), (other, events & select.EPOLLOUT and other.waits)):
            try:
                if wanted and direction.move():
                    more.append(direction)
            except OSError:
                self._say_the_rest(other if direction is own else own)
                raise
        return more

    def _say_the_rest(self, direction: Direction) -> None:
        """What the side that broke off had said before, or the other one still hears, is passed on. Not what goes the
        way that failed: there the end would be taken for a regular one."""
        try:
            direction.move()
        except OSError:
            pass

    @property
    def directions(self) -> tuple[Direction, Direction]:
        """Inwards and outwards."""
        return self._in, self._out

    @property
    def over(self) -> bool:
        """Whether both directions have ended."""
        return self._in.over and self._out.over

    def close(self, *, broken: bool) -> None:
        """Close both sockets; a `broken` connection is reset at both ends."""
        self._in.close()
        self._out.close()
        for side in (self.outer, self.inner):
            if broken:
                reset(side)
            else:
                side.close()
