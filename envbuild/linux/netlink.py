"""Network interfaces, through the kernel's own protocol: rtnetlink(7), netlink(7).

Numbers come from linux/rtnetlink.h, linux/if_link.h, linux/if_addr.h and linux/veth.h.
"""

from __future__ import annotations

import errno
import fcntl
import os
import struct
from socket import AF_INET, AF_NETLINK, SOCK_RAW, inet_aton, socket

NETLINK_ROUTE = 0
_NEW_LINK, _REMOVE_LINK, _NEW_ADDRESS = 16, 17, 20
_REQUEST, _ACK, _EXCLUSIVE, _CREATE = 0x1, 0x4, 0x200, 0x400
_ERROR = 2
_UP = 1
_MAC, _NAME, _MASTER, _INFO, _NET_NS_FD = 1, 3, 10, 18, 28
_INFO_KIND, _INFO_DATA = 1, 2
_VETH_PEER = 1
_ADDRESS, _LOCAL = 1, 2
_SIOCGIFINDEX = 0x8933
_HEADER = struct.Struct("=IHHII")
_CODE = struct.Struct("=i")
_LINK = struct.Struct("=BxHiII")
_ADDRESS_HEADER = struct.Struct("=BBBBI")


class Links:
    """The interfaces of one network namespace. Every method raises OSError."""

    def __init__(self, descriptor: int | None = None) -> None:
        """Return those of the namespace that `descriptor`, a netlink socket, belongs to; else of our own. A socket
        stays with its namespace whoever uses it, as long as that one has the right to, too."""
        self._socket = (
            socket(AF_NETLINK, SOCK_RAW, NETLINK_ROUTE) if descriptor is None else socket(fileno=os.dup(descriptor))
        )
        self._number = 0

    def __enter__(self) -> Links:
        return self

    def __exit__(self, *_: object) -> None:
        self._socket.close()

    def add_bridge(self, name: str) -> None:
        """Make a bridge."""
        info = _attribute(_INFO_KIND, b"bridge\0")
        self._ask(_NEW_LINK, _CREATE | _EXCLUSIVE, _link() + _attribute(_NAME, _text(name)) + _attribute(_INFO, info))

    def add_pair(self, name: str, peer: str, peer_network: int, peer_mac: bytes) -> None:
        """Make two interfaces that are connected (veth(4)): `name` here, and `peer` in the namespace that the
        descriptor `peer_network` stands for."""
        other = (
            _link()
            + _attribute(_NAME, _text(peer))
            + _attribute(_MAC, peer_mac)
            + _attribute(_NET_NS_FD, struct.pack("=I", peer_network))
        )
        info = _attribute(_INFO_KIND, b"veth\0") + _attribute(_INFO_DATA, _attribute(_VETH_PEER, other))
        self._ask(_NEW_LINK, _CREATE | _EXCLUSIVE, _link() + _attribute(_NAME, _text(name)) + _attribute(_INFO, info))

    def raise_up(self, name: str, master: str | None = None) -> None:
        """Put an interface to work, as a port of the bridge `master` if one is given."""
        body = _link(self._index(name), _UP)
        if master is not None:
            body += _attribute(_MASTER, struct.pack("=I", self._index(master)))
        self._ask(_NEW_LINK, 0, body)

    def add_address(self, name: str, address: str, prefix: int) -> None:
        """Give an interface an IPv4 address."""
        packed = inet_aton(address)
        head = _ADDRESS_HEADER.pack(AF_INET, prefix, 0, 0, self._index(name))
        self._ask(_NEW_ADDRESS, _CREATE | _EXCLUSIVE, head + _attribute(_LOCAL, packed) + _attribute(_ADDRESS, packed))

    def remove(self, name: str) -> None:
        """Take an interface away, with its peer; nothing if there is none."""
        try:
            self._ask(_REMOVE_LINK, 0, _link(self._index(name)))
        except OSError as error:
            if error.errno != errno.ENODEV:
                raise

    def _index(self, name: str) -> int:
        answer = fcntl.ioctl(self._socket, _SIOCGIFINDEX, struct.pack("16si20x", name.encode(), 0))
        return int(struct.unpack("16si20x", answer)[1])

    def _ask(self, kind: int, flags: int, body: bytes) -> None:
        """Send one request and wait for its acknowledgement."""
        self._number += 1
        head = _HEADER.pack(_HEADER.size + len(body), kind, _REQUEST | _ACK | flags, self._number, 0)
        self._socket.sendto(head + body, (0, 0))
        while True:
            answer = self._socket.recv(1 << 16)
            if len(answer) < _HEADER.size + _CODE.size:
                raise OSError(errno.EBADMSG, os.strerror(errno.EBADMSG))
            _, answer_kind, _, number, _ = _HEADER.unpack_from(answer)
            if answer_kind == _ERROR and number == self._number:
                (code,) = _CODE.unpack_from(answer, _HEADER.size)
                if code:
                    raise OSError(abs(code), os.strerror(abs(code)))
                return


def _link(index: int = 0, flags: int = 0) -> bytes:
    return _LINK.pack(0, 0, index, flags, flags)


def _text(name: str) -> bytes:
    return name.encode() + b"\0"


def _attribute(kind: int, value: bytes) -> bytes:
    """Return one attribute, padded to four bytes."""
    return struct.pack("=HH", 4 + len(value), kind) + value + b"\0" * (-len(value) % 4)
