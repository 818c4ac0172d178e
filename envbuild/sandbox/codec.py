"""Plain values as bytes and back, for what processes say to each other.

Not marshal, which trusts its input: process 1 of a sandbox may have been taken over by what runs in it, and what it
answers is read by the process outside. Here only plain values come of any bytes, no more of them than the bytes can
hold, and everything else is a BadMessage.
"""

from __future__ import annotations

import struct

from envbuild.sandbox.failure import SandboxFailure

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

_COUNT, _INTEGER, _FLOAT = struct.Struct("=I"), struct.Struct("=q"), struct.Struct("=d")
_CONSTANTS = {b"N": None, b"T": True, b"F": False}
MOST_DEPTH = 8
"""Tuples and dictionaries may lie in each other no deeper than this."""


class BadMessage(SandboxFailure):
    """The other side of a socket said something that envbuild never says."""

    def __init__(self, reason: str) -> None:
        super().__init__(
            f"what a sandbox or a supervisor answered makes no sense: {reason}",
            "something in it has taken over its process 1, or it is of another version of envbuild: don't trust it",
        )


def encode(value: object) -> bytes:
    """The bytes of None, a truth value, a number of 64 bits, a text, bytes, or a tuple, list or dictionary of such."""
    parts: list[bytes] = []
    _encode(value, parts)
    return b"".join(parts)


def _encode(value: Any, parts: list[bytes]) -> None:
    # What is sent most comes first. Texts may hold what "surrogateescape" made of bytes that are no UTF-8.
    if isinstance(value, str):
        text = value.encode("utf-8", "surrogatepass")
        parts += (b"s", _COUNT.pack(len(text)), text)
    elif isinstance(value, tuple | list):
        parts += (b"(", _COUNT.pack(len(value)))
        for one in value:
            _encode(one, parts)
    elif value is None or isinstance(value, bool):
        parts.append(b"N" if value is None else b"T" if value else b"F")
    elif isinstance(value, int):
        parts += (b"i", _INTEGER.pack(value))
    elif isinstance(value, float):
        parts += (b"f", _FLOAT.pack(value))
    elif isinstance(value, bytes):
        parts += (b"b", _COUNT.pack(len(value)), value)
    elif isinstance(value, dict):
        parts += (b"{", _COUNT.pack(len(value)))
        for pair in value.items():
            for one in pair:
                _encode(one, parts)
    else:
        raise TypeError(f"a {type(value).__name__} can't be sent")


def decode(data: bytes) -> Any:
    """The value that `encode` made `data` of; lists come back as tuples. Raises BadMessage."""
    try:
        value, end = _decode(data, 0, 0)
    except (struct.error, UnicodeDecodeError, TypeError) as error:
        raise BadMessage(f"it is cut short or damaged ({error})") from error
    if end != len(data):
        raise BadMessage("something follows its end")
    return value


def _decode(data: bytes, at: int, depth: int) -> tuple[Any, int]:
    """The value that begins at `at`, and where it ends."""
    kind = data[at : at + 1]
    at += 1
    if kind in (b"s", b"b"):
        (size,) = _COUNT.unpack_from(data, at)
        at += _COUNT.size
        content = data[at : at + size]
        if len(content) != size:
            raise BadMessage("it is cut short")
        return content.decode("utf-8", "surrogatepass") if kind == b"s" else content, at + size
    if kind in (b"(", b"{"):
        (count,) = _COUNT.unpack_from(data, at)
        at += _COUNT.size
        if depth == MOST_DEPTH:
            raise BadMessage("it is too deep")
        found = []
        # Each value has a byte at least: a count that says more ends with the data.
        for _ in range(count if kind == b"(" else 2 * count):
            one, at = _decode(data, at, depth + 1)
            found.append(one)
        return tuple(found) if kind == b"(" else dict(zip(found[::2], found[1::2], strict=True)), at
    if kind == b"i":
        return _INTEGER.unpack_from(data, at)[0], at + _INTEGER.size
    if kind == b"f":
        return _FLOAT.unpack_from(data, at)[0], at + _FLOAT.size
    if kind not in _CONSTANTS:
        raise BadMessage("it has a value of no known kind")
    return _CONSTANTS[kind], at
