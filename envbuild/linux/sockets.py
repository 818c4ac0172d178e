"""Sockets of the kinds that processes of one machine talk through, cheap to import.

The module socket makes enumerations of hundreds of constants and brings selectors along, which takes longer than to
make a sandbox. Its own objects serve where these do.
"""

from __future__ import annotations

from _socket import (
    AF_INET,
    AF_INET6,
    AF_NETLINK,
    AF_UNIX,
    CMSG_LEN,
    CMSG_SPACE,
    SCM_RIGHTS,
    SHUT_RDWR,
    SHUT_WR,
    SO_SNDTIMEO,
    SOCK_DGRAM,
    SOCK_RAW,
    SOCK_SEQPACKET,
    SOCK_STREAM,
    SOL_SOCKET,
    sethostname,
)

TYPE_CHECKING = False
if TYPE_CHECKING:
    from socket import socket, socketpair
else:
    import _socket

    class socket(_socket.socket):
        """A socket that `with` closes."""

        __slots__ = ()

        def __enter__(self):
            return self

        def __exit__(self, *error):
            self.close()

        def accept(self):
            """Return a socket for the next one who connects, and its address."""
            descriptor, address = self._accept()
            return socket(self.family, self.type, self.proto, descriptor), address

    def socketpair(family, kind):
        """Return two sockets that are connected to each other."""
        return tuple(
            socket(made.family, made.type, made.proto, made.detach()) for made in _socket.socketpair(family, kind)
        )


__all__ = [
    "AF_INET",
    "AF_INET6",
    "AF_NETLINK",
    "AF_UNIX",
    "CMSG_LEN",
    "CMSG_SPACE",
    "SCM_RIGHTS",
    "SHUT_RDWR",
    "SHUT_WR",
    "SOCK_DGRAM",
    "SOCK_RAW",
    "SOCK_SEQPACKET",
    "SOCK_STREAM",
    "SOL_SOCKET",
    "SO_SNDTIMEO",
    "sethostname",
    "socket",
    "socketpair",
]
