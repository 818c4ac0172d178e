"""Sends messages and descriptors over sockets: the length and the data (codec.py), with the descriptors beside it."""

from __future__ import annotations

import os
import struct

from envbuild.linux.sockets import CMSG_LEN, SCM_RIGHTS, SOL_SOCKET, socket
from envbuild.sandbox.codec import BadMessage, Message, decode, encode

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from typing import TypeVar

    M = TypeVar("M", bound=Message)

_LENGTH = struct.Struct("=I")
_DESCRIPTOR_SIZE = 4
BATCH_DESCRIPTORS = 8
"""How many descriptors of many are sent together."""
MAX_BYTES = 16 << 20
"""How long a message may be: several times the words and the environment that execve(2) takes."""


def send(link: socket, message: Message, descriptors: Sequence[int] = ()) -> None:
    """Send one message, with descriptors if there are any."""
    # At once: each part would wake the peer.
    body = encode(message)
    content = memoryview(_LENGTH.pack(len(body)) + body)
    sent = link.sendmsg([content], _rights(descriptors) if descriptors else [])
    if sent < len(content):
        link.sendall(content[sent:])


def send_descriptors(link: socket, descriptors: Sequence[int]) -> None:
    """Send descriptors, with one byte that they can travel on."""
    link.sendmsg([b"d"], _rights(descriptors))


def _rights(descriptors: Sequence[int]) -> list[tuple[int, int, bytes]]:
    """Return the ancillary data of a message that carries descriptors (unix(7))."""
    return [(SOL_SOCKET, SCM_RIGHTS, struct.pack(f"={len(descriptors)}i", *descriptors))]


def receive(link: socket, expected: Mapping[str, type[M]]) -> tuple[M, tuple[int, ...]] | None:
    """Return the next message, which is one of the family `expected`, and its descriptors; None when the peer is gone.

    Fewer descriptors than were sent arrive where this process has no room for more. Raises BadMessage.
    """
    # One more than may come, to notice that.
    max_descriptors = 1 + max([message.max_descriptors for message in expected.values()])
    head, descriptors = receive_with_descriptors(link, _LENGTH.size, max_descriptors)
    if len(head) < _LENGTH.size:
        close_all(descriptors)
        return None
    try:
        (size,) = _LENGTH.unpack(head)
        if size > MAX_BYTES:
            raise BadMessage(f"it has {size} bytes")
        message = decode(_exactly(link, size), expected)
        if len(descriptors) > message.max_descriptors:
            raise BadMessage(f"{len(descriptors)} descriptors come with it")
        return message, descriptors
    except (EOFError, ConnectionResetError):
        close_all(descriptors)
        return None  # it ended in the middle of a message
    except BaseException:
        close_all(descriptors)
        raise


def close_all(descriptors: Sequence[int]) -> None:
    """Close descriptors that came with a message and that nobody wants."""
    for descriptor in descriptors:
        os.close(descriptor)


def receive_with_descriptors(
    link: socket, size: int, max_descriptors: int = BATCH_DESCRIPTORS
) -> tuple[bytes, tuple[int, ...]]:
    """Return `size` bytes (fewer at the end) and the descriptors that came with them, no more than so many."""
    try:
        data, ancillary, _, _ = link.recvmsg(size, CMSG_LEN(_DESCRIPTOR_SIZE * max_descriptors))
    except ConnectionResetError:
        return b"", ()  # the peer is gone and had not read all that it was sent
    descriptors: tuple[int, ...] = ()
    for level, kind, content in ancillary:
        if level == SOL_SOCKET and kind == SCM_RIGHTS:
            count = len(content) // _DESCRIPTOR_SIZE
            descriptors += struct.unpack_from(f"={count}i", content)
    if data and len(data) < size:
        try:
            data += _exactly(link, size - len(data))
        except (EOFError, ConnectionResetError):
            pass  # it ended in the middle: the caller sees that from the length
    return data, descriptors


def send_many_descriptors(link: socket, descriptors: Sequence[int]) -> None:
    """Send any number of descriptors; the receiver knows how many."""
    for first in range(0, len(descriptors), BATCH_DESCRIPTORS):
        send_descriptors(link, descriptors[first : first + BATCH_DESCRIPTORS])


def receive_many_descriptors(link: socket, count: int) -> tuple[int, ...]:
    """Return `count` descriptors that `send_many_descriptors` sent; fewer where the peer is gone."""
    descriptors: tuple[int, ...] = ()
    while len(descriptors) < count:
        arrived = receive_with_descriptors(link, 1)[1]
        if not arrived:
            break
        descriptors += arrived
    return descriptors


def _exactly(link: socket, size: int) -> bytes:
    parts = []
    while size:
        part = link.recv(min(size, 1 << 20))
        if not part:
            raise EOFError("the peer of a sandbox's socket is gone")
        parts.append(part)
        size -= len(part)
    return b"".join(parts)
