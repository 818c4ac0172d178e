"""Writes tar archives of which the same content always gives the same bytes: their digests are pinned by locks.

The form is POSIX's ustar, with a PAX header for names that do not fit (pax(1)), and never changes.
"""

from __future__ import annotations

import os
from collections.abc import Callable

from envbuild.archive.limits import MAX_TIME

BLOCK = 512
_END = 2 * BLOCK
_MAX_OCTAL = 8**11
FILE, LINK, DIRECTORY, _PAX, _GLOBAL = b"0", b"2", b"5", b"x", b"g"


class TarWriter:
    """An archive in a file that can be written at any place. All members belong to root and have one time."""

    def __init__(self, descriptor: int, mtime: int) -> None:
        self._descriptor = descriptor
        self._mtime = max(0, min(mtime, MAX_TIME - 1))
        self.size = 0

    def comment(self, text: str) -> None:
        """Begin with a text about the whole archive."""
        self._extended(_GLOBAL, b"pax_global_header", ((b"comment", text.encode()),))

    def add(self, path: bytes, kind: bytes, mode: int, target: bytes = b"") -> None:
        """Add a directory or a link."""
        self._write(self._header(self._fitting(path, target), kind, mode, 0, target))

    def add_file(self, path: bytes, mode: int, write: Callable[[int], int]) -> None:
        """Add a file whose content `write` puts into the descriptor that it gets, and returns the size of."""
        name = self._fitting(path, b"")
        at = self.size
        self._write(bytes(BLOCK))
        length = write(self._descriptor)
        self.size += length
        self._write(bytes(-length % BLOCK))
        os.pwrite(self._descriptor, self._header(name, FILE, mode, length, b""), at)

    def finish(self) -> None:
        """End the archive."""
        self._write(bytes(_END))

    def _fitting(self, path: bytes, target: bytes) -> bytes:
        """Return a name that fits the header, with a header before it for what does not."""
        records = []
        if len(path) > 100:
            records.append((b"path", path))
        if len(target) > 100:
            records.append((b"linkpath", target))
        if records:
            self._extended(_PAX, b"pax_header", tuple(records))
        return path[:100]

    def _extended(self, kind: bytes, name: bytes, records: tuple[tuple[bytes, bytes], ...]) -> None:
        body = b"".join(record(key, value) for key, value in records)
        self._write(self._header(name, kind, 0o644, len(body), b"") + body + bytes(-len(body) % BLOCK))

    def _header(self, name: bytes, kind: bytes, mode: int, size: int, target: bytes) -> bytes:
        fields = (
            name.ljust(100, b"\0"),
            b"%07o\0" % mode,
            b"%07o\0%07o\0" % (0, 0),
            # What octal digits can't hold is in base 256, as GNU tar has it.
            b"%011o\0" % size if size < _MAX_OCTAL else b"\x80" + size.to_bytes(11, "big"),
            b"%011o\0" % self._mtime,
            b" " * 8,
            kind,
            target[:100].ljust(100, b"\0"),
            b"ustar\0" + b"00",
            b"root".ljust(32, b"\0") * 2,
            b"%07o\0%07o\0" % (0, 0),
        )
        header = b"".join(fields).ljust(BLOCK, b"\0")
        return header[:148] + b"%06o\0 " % sum(header) + header[156:]

    def _write(self, data: bytes) -> None:
        self.size += len(data)
        view = memoryview(data)
        while view:
            view = view[os.write(self._descriptor, view) :]


def comment_of(path: str) -> str:
    """Return the text that such an archive begins with, "" for another file."""
    with open(path, "rb") as file:
        head = file.read(2 * BLOCK)
    if head[156:157] != _GLOBAL:
        return ""
    return head[BLOCK:].partition(b" comment=")[2].partition(b"\n")[0].decode("utf-8", "replace")


def record(key: bytes, value: bytes) -> bytes:
    """Return a PAX record, which says its own length in front."""
    length = len(key) + len(value) + 3
    digits = len(str(length))
    while len(str(length + digits)) != digits:
        digits += 1
    return b"%d %s=%s\n" % (length + digits, key, value)
