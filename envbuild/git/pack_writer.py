"""Packs of git that are the same bytes for the same objects, whatever git and zlib a machine has.

git chooses deltas, their order and threads anew each time, and what zlib makes of a text differs from one
implementation to the next. So each object is stored whole, in the order in which it is given, and nothing is
compressed: zlib's format has stored blocks for that (RFC 1951, 3.2.4). The formats are those of gitformat-pack(5).
"""

from __future__ import annotations

import hashlib
import os
import struct
import zlib
from collections.abc import Callable

KINDS = {"commit": 1, "tree": 2, "blob": 3}
_BLOCK = 0xFFFF
_LARGE = 1 << 31
"""From here on the index has offsets in a table of their own."""


class PackWriter:
    """A pack of `count` objects, written to a descriptor from where that stands. Ids have as many bytes as `algorithm`
    (sha1, sha256) gives."""

    def __init__(self, descriptor: int, count: int, algorithm: str) -> None:
        self._descriptor = descriptor
        self._digest = hashlib.new(algorithm, usedforsecurity=False)
        self._algorithm = algorithm
        self._objects: list[tuple[bytes, int, int]] = []
        self.size = 0
        self._write(b"PACK" + struct.pack(">II", 2, count))

    def add(self, oid: str, kind: str, size: int, read: Callable[[int], bytes]) -> None:
        """Add an object of `size` bytes; `read` returns the next ones, as many as it is asked for."""
        at, crc, adler, left = self.size, 0, 1, size
        parts = [_header(KINDS[kind], size) + b"\x78\x01"]
        while True:
            data = read(min(left, _BLOCK)) if left else b""
            left -= len(data)
            adler = zlib.adler32(data, adler)
            parts.append(struct.pack("<BHH", not left, len(data), len(data) ^ _BLOCK) + data)
            if not left:
                parts.append(struct.pack(">I", adler))
            for part in parts:
                crc = zlib.crc32(part, crc)
                self._write(part)
            parts.clear()
            if not left:
                break
        self._objects.append((bytes.fromhex(oid), crc, at))

    def finish(self) -> bytes:
        """End the pack, and return its index."""
        checksum = self._digest.digest()
        self._write(checksum)
        rows = sorted(self._objects)
        counts = [0] * 256
        for oid, _, _ in rows:
            counts[oid[0]] += 1
        below = [sum(counts[: first + 1]) for first in range(256)]
        large = [at for _, _, at in rows if at >= _LARGE]
        places = {at: _LARGE | number for number, at in enumerate(large)}
        index = b"".join(
            (
                b"\xfftOc",
                struct.pack(">I256I", 2, *below),
                *(oid for oid, _, _ in rows),
                *(struct.pack(">I", crc) for _, crc, _ in rows),
                *(struct.pack(">I", places.get(at, at)) for _, _, at in rows),
                *(struct.pack(">Q", at) for at in large),
                checksum,
            )
        )
        return index + hashlib.new(self._algorithm, index, usedforsecurity=False).digest()

    def _write(self, data: bytes) -> None:
        self.size += len(data)
        self._digest.update(data)
        view = memoryview(data)
        while view:
            view = view[os.write(self._descriptor, view) :]


def _header(kind: int, size: int) -> bytes:
    """Return kind and size, the latter in 4 bits and then in groups of 7, the lowest first."""
    value = bytearray([kind << 4 | size & 15])
    size >>= 4
    while size:
        value[-1] |= 0x80
        value.append(size & 0x7F)
        size >>= 7
    return bytes(value)
