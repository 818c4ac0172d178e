"""How requests and answers cross the socket of a run: length, then data (codec.py); descriptors beside it.

Requests go into a sandbox only, and nobody in there can send one: they are marshalled.
"""

from __future__ import annotations

import array
import marshal
import os
import struct
from collections.abc import Sequence
from socket import CMSG_LEN, SCM_RIGHTS, SOL_SOCKET, socket

from envbuild.record import values
from envbuild.sandbox.codec import BadMessage, decode, encode
from envbuild.sandbox.spec import Bind, Request, Scratch, Secret

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

_LENGTH = struct.Struct("=I")
MOST_DESCRIPTORS = 8
"""So many can come with one message."""
MOST_OF_A_STEP = 250
"""So many can come with what a step server is asked for: the kernel takes 253 at a time (unix(7), SCM_MAX_FD)."""
MOST_BYTES = 16 << 20
"""A message may be this long: several times the words and the environment that execve(2) takes."""
Message = tuple[str, "tuple[Any, ...]", "tuple[int, ...]"]
"""What it is, what it says, and the descriptors that came with it."""


def send(link: socket, kind: str, payload: tuple[Any, ...], descriptors: Sequence[int] = ()) -> None:
    """Sends one message, with descriptors if there are any."""
    body = encode((kind, payload))
    head = _LENGTH.pack(len(body))
    rights = [(SOL_SOCKET, SCM_RIGHTS, array.array("i", descriptors))] if descriptors else []
    link.sendmsg([head], rights)
    link.sendall(body)


def send_descriptors(link: socket, descriptors: Sequence[int]) -> None:
    """Hands descriptors over, with one byte that they can travel on."""
    link.sendmsg([b"d"], [(SOL_SOCKET, SCM_RIGHTS, array.array("i", descriptors))])


def receive(link: socket) -> Message | None:
    """The next message and its descriptors, None when the other side is gone. Raises BadMessage."""
    head, descriptors = receive_with_descriptors(link, _LENGTH.size)
    if len(head) < _LENGTH.size:
        close_all(descriptors)
        return None
    try:
        (size,) = _LENGTH.unpack(head)
        if size > MOST_BYTES:
            raise BadMessage(f"it has {size} bytes")
        match decode(_exactly(link, size)):
            case (str(kind), tuple(payload)):
                return kind, payload, descriptors
        raise BadMessage("it is no message by its form")
    except (EOFError, ConnectionResetError):
        close_all(descriptors)
        return None  # it went in the middle of what it said
    except BaseException:
        close_all(descriptors)
        raise


def close_all(descriptors: Sequence[int]) -> None:
    """Closes descriptors that came with a message and that nobody wants."""
    for descriptor in descriptors:
        os.close(descriptor)


def receive_with_descriptors(link: socket, size: int, most: int = MOST_DESCRIPTORS) -> tuple[bytes, tuple[int, ...]]:
    """`size` bytes (fewer at the end) and the descriptors that came with them, at most so many."""
    try:
        data, ancillary, _, _ = link.recvmsg(size, CMSG_LEN(4 * most))
    except ConnectionResetError:
        return b"", ()  # the other side is gone and had not read all that it was sent
    descriptors = array.array("i")
    for level, kind, content in ancillary:
        if level == SOL_SOCKET and kind == SCM_RIGHTS:
            descriptors.frombytes(content[: len(content) - len(content) % descriptors.itemsize])
    if data and len(data) < size:
        try:
            data += _exactly(link, size - len(data))
        except (EOFError, ConnectionResetError):
            pass  # it went in the middle: less than was asked for says so
    return data, tuple(descriptors)


def send_request(link: socket, request: Request) -> None:
    """Sends what is to be run."""
    link.sendall(_request_bytes(request))


def _request_bytes(request: Request) -> bytes:
    plain = {name: getattr(request, name) for name in request.__match_args__}
    plain["binds"] = tuple(values(bind) for bind in request.binds)
    plain["scratch"] = tuple(values(one) for one in request.scratch)
    plain["secrets"] = tuple(values(secret) for secret in request.secrets)
    body = marshal.dumps(plain)
    return _LENGTH.pack(len(body)) + body


def send_step(link: socket, request: Request, descriptors: Sequence[int]) -> None:
    """Sends what is to be run and its descriptors, at most MOST_OF_A_STEP, at once: each message wakes who waits."""
    content = memoryview(_request_bytes(request))
    sent = link.sendmsg([content], [(SOL_SOCKET, SCM_RIGHTS, array.array("i", descriptors))])
    if sent < len(content):
        link.sendall(content[sent:])


def receive_step(link: socket) -> tuple[Request, tuple[int, ...]]:
    """What `send_step` sent. Raises EOFError where there is no more."""
    head, descriptors = receive_with_descriptors(link, _LENGTH.size, MOST_OF_A_STEP)
    if len(head) < _LENGTH.size:
        raise EOFError("nobody asks for more steps")
    return _request_of(_exactly(link, *_LENGTH.unpack(head))), descriptors


def send_more(link: socket, descriptors: Sequence[int]) -> None:
    """Sends any number of descriptors."""
    send(link, "descriptors", (len(descriptors),))
    for first in range(0, len(descriptors), MOST_DESCRIPTORS):
        send_descriptors(link, descriptors[first : first + MOST_DESCRIPTORS])


def receive_more(link: socket) -> tuple[int, ...]:
    """The descriptors that `send_more` sent; fewer where the other side is gone."""
    message = receive(link)
    found: tuple[int, ...] = ()
    while message is not None and len(found) < message[1][0]:
        some = receive_with_descriptors(link, 1)[1]
        if not some:
            break
        found += some
    return found


def receive_request(link: socket) -> Request:
    """The request that `send_request` sent."""
    return _request_of(_exactly(link, *_LENGTH.unpack(_exactly(link, _LENGTH.size))))


def _request_of(body: bytes) -> Request:
    plain = marshal.loads(body)
    plain["binds"] = tuple(Bind(*bind) for bind in plain["binds"])
    plain["scratch"] = tuple(Scratch(*one) for one in plain["scratch"])
    plain["secrets"] = tuple(Secret(*secret) for secret in plain["secrets"])
    return Request(**plain)


def _exactly(link: socket, size: int) -> bytes:
    parts = []
    while size:
        part = link.recv(min(size, 1 << 20))
        if not part:
            raise EOFError("the other side of a sandbox's socket is gone")
        parts.append(part)
        size -= len(part)
    return b"".join(parts)
