"""The archive of a Node package, read as `inside/npm_install.js` reads it, but only where nothing about it is odd.

Both have to come to the same files, so what the two could take for different things is refused here: the archive is
then unpacked in the sandbox, by the script. Nothing is written: a member has a path of plain names, and goes into a
tree. Format: POSIX.1-2017 pax, and GNU tar's manual, "Basic Tar Format".
"""

from __future__ import annotations

import re
import zlib
from collections.abc import Iterator

MAX_UNPACKED = 1 << 30
"""Bytes of an archive when it is unpacked, its headers included."""
MAX_FILE = 256 << 20
"""Bytes of one file, which is read into memory."""
MAX_HEADER = 1 << 20
MAX_MEMBERS = 200_000
MAX_NAME, MAX_PATH, MAX_DEPTH = 255, 1024, 64
_BLOCK = 512
_CHUNK = 1 << 18
_OCTAL = re.compile(rb" *([0-7]{0,12}) *")
_FILES = b"0\x007"
_PAX, _PAX_OF_ALL, _LONG_NAME = b"xgL"
_HEADERS = (_PAX, _PAX_OF_ALL, _LONG_NAME)
_RECORD = re.compile(rb"([1-9][0-9]{0,6}) ([^=]{1,255})=")


class Odd(Exception):
    """Something is not as usual, and has to be installed in the sandbox. Never leaves the installation."""


class PackageFile:
    """A file of a package: its path in the package, its mode and its content."""

    __slots__ = ("content", "mode", "path")

    def __init__(self, path: bytes, mode: int, content: bytes) -> None:
        self.path = path
        self.mode = mode
        self.content = content


def files_of(packed: bytes) -> Iterator[PackageFile]:
    """Yield the files of an archive, whose first directory is left out; of several at one path the last one counts.
    Links, devices and directories are passed over, as npm does. Raises Odd."""
    stream = _Unpacked(packed)
    long_name: bytes | None = None
    for _ in range(MAX_MEMBERS):
        header = stream.read(_BLOCK)
        if len(header) < _BLOCK or not header.strip(b"\0"):
            stream.end()
            return
        kind, size = header[156], _number(header[124:136])
        if kind in _HEADERS:
            if size > MAX_HEADER:
                raise Odd
            body = stream.member(size)
            if kind != _PAX_OF_ALL:
                long_name = _path_in(body) if kind == _PAX else _text(body)
            continue
        name, long_name = long_name or _name_in(header), None
        path = _inside(name) if kind in _FILES else None
        if path is None:
            stream.pass_over(size)
            continue
        if size > MAX_FILE:
            raise Odd
        yield PackageFile(path, (_number(header[100:108]) | 0o644) & 0o755, stream.member(size))
    raise Odd


class _Unpacked:
    """The unpacked bytes of an archive, counted."""

    def __init__(self, packed: bytes) -> None:
        self._packed = memoryview(packed)
        self._taken = 0
        self._left = MAX_UNPACKED
        self._data = b""
        self._at = 0
        self._stream = zlib.decompressobj(16 + zlib.MAX_WBITS)

    def read(self, size: int) -> bytes:
        """Return so many bytes, fewer at the end."""
        data = self._data[self._at : self._at + size]
        self._at += len(data)
        if len(data) == size:
            return data
        pieces, missing = [data], size - len(data)
        while missing and (piece := self._more(max(missing, _CHUNK))):
            self._data, self._at = piece, min(missing, len(piece))
            pieces.append(piece[: self._at])
            missing -= self._at
        return b"".join(pieces)

    def member(self, size: int) -> bytes:
        """Return the content of a member, and pass over what fills its last block."""
        data = self.read(size)
        if len(data) < size:
            raise Odd
        self.read(-size % _BLOCK)
        return data

    def pass_over(self, size: int) -> None:
        """Leave out the content of a member."""
        left = size + -size % _BLOCK
        while left:
            data = self.read(min(left, _CHUNK))
            if not data:
                raise Odd
            left -= len(data)

    def end(self) -> None:
        """Make sure that the rest is sound: only at its end a compressed stream shows its checksum."""
        while self._more(_CHUNK):
            pass

    def _more(self, size: int) -> bytes:
        try:
            while not self._stream.eof:
                waiting = self._stream.unconsumed_tail
                if not waiting:
                    waiting = bytes(self._packed[self._taken : self._taken + _CHUNK])
                    self._taken += len(waiting)
                data = self._stream.decompress(waiting, size)
                self._left -= len(data)
                if self._left < 0 or not (data or waiting or self._stream.eof):
                    raise Odd
                if data:
                    return data
        except zlib.error:
            raise Odd from None
        if self._stream.unused_data or self._taken < len(self._packed):
            raise Odd  # more streams, or what is none
        return b""


def _number(field: bytes) -> int:
    match = _OCTAL.fullmatch(field.partition(b"\0")[0])
    if match is None:
        raise Odd
    return int(match[1] or b"0", 8)


def _text(field: bytes) -> bytes:
    return field.partition(b"\0")[0]


def _name_in(header: bytes) -> bytes:
    name = _text(header[:100])
    prefix = _text(header[345:500]) if header[257:262] == b"ustar" else b""
    return prefix + b"/" + name if prefix else name


def _path_in(body: bytes) -> bytes | None:
    """Return the path that PAX records say, None for none. Those that say another size or an empty path are odd."""
    path, at = None, 0
    while at < len(body):
        match = _RECORD.match(body, at)
        if match is None:
            raise Odd
        end = at + int(match[1])
        if end > len(body) or end <= match.end() or body[end - 1 : end] != b"\n" or match[2] == b"size":
            raise Odd
        if match[2] == b"path":
            path = body[match.end() : end - 1]
            if not path or b"\0" in path:
                raise Odd
        at = end
    return path


def _inside(name: bytes) -> bytes | None:
    """Return the path of a file in its package, None for one that the script leaves out."""
    try:
        _, *rest = name.decode().split("/")
    except UnicodeDecodeError:
        raise Odd from None
    if not rest or (rest[0] == "" and len(rest) > 1):
        return None
    if ".." in rest or rest[-1] in ("", "."):
        raise Odd
    names = [part for part in rest if part not in ("", ".")]
    if names[0].startswith(".."):
        return None
    path = "/".join(names).encode()
    if len(path) > MAX_PATH or len(names) > MAX_DEPTH or any(len(part) > MAX_NAME for part in path.split(b"/")):
        raise Odd
    return path
