"""The hashes that later versions of yarn lock: not of a registry's archive, but of the zip file that yarn makes of it.

Without compression, which is what yarn 4 does by itself (`10c0/`), the same zip can be made again from the archive, and
so the hash be checked: members as they come, directories before what lies in them, one time for all.
"""

from __future__ import annotations

import gzip
import hashlib
import io
import struct
import tarfile
import zlib
from collections.abc import Iterator
from posixpath import dirname, normpath

from envbuild.errors import WorkFailed, fields

UNCOMPRESSED = "10c0/"
MAX_UNPACKED = 512 << 20
_LOCAL, _CENTRAL, _END = b"PK\x03\x04", b"PK\x01\x02", b"PK\x05\x06"
_TIME, _DATE = 0xAE40, 0x08D6
"""21:50 on 1984-06-22, which yarn gives to all members."""
_MADE_BY = 0x033F
_FOLDER, _FILE, _PROGRAM = (0o40755, 20), (0o100644, 10), (0o100755, 10)
"""The modes of members, with the version of zip that it takes to unpack them."""


@fields
class OtherArchive(WorkFailed):
    """A registry's archive is not the one that yarn locked."""

    name: str
    version: str
    reason: str

    def text(self) -> tuple[str, str]:
        return (
            f"{self.name} {self.version}: the registry's archive is not the one that yarn.lock names: {self.reason}",
            "nothing of it was installed; ask who publishes the package, or whether the registry changed it",
        )


def check(name: str, version: str, path: str, checksum: str) -> None:
    """Raise OtherArchive if the archive at `path` is not the one of yarn's `checksum`, where that can be told."""
    if not checksum.startswith(UNCOMPRESSED):
        return
    try:
        actual = _hash(name, path)
    except (OSError, EOFError, zlib.error, tarfile.TarError) as error:
        raise OtherArchive(name, version, f"it can't be read ({error})") from error
    except _TooLarge:
        raise OtherArchive(name, version, f"it has more than {MAX_UNPACKED:,} bytes") from None
    expected = checksum.removeprefix(UNCOMPRESSED)
    if actual != expected:
        raise OtherArchive(name, version, f"\n  expected {UNCOMPRESSED}{expected}\n  got      {UNCOMPRESSED}{actual}")


class _TooLarge(Exception):
    pass


class _Bounded(io.RawIOBase):
    """A stream that ends with _TooLarge if somebody reads too much of it."""

    def __init__(self, stream: gzip.GzipFile) -> None:
        self._stream = stream
        self._left = MAX_UNPACKED

    def read(self, size: int = -1) -> bytes:
        data = self._stream.read(size)
        self._left -= len(data)
        if self._left < 0:
            raise _TooLarge
        return data


def _hash(name: str, path: str) -> str:
    state = hashlib.sha512()
    entries: list[bytes] = []
    at = 0
    for member, content, (mode, version) in _members(name, path):
        title = member.encode()
        fields_ = struct.pack(
            "<HHHHHIIIHH", version, 0, 0, _TIME, _DATE, zlib.crc32(content), len(content), len(content), len(title), 0
        )
        entries.append(
            _CENTRAL + struct.pack("<H", _MADE_BY) + fields_ + struct.pack("<HHHII", 0, 0, 0, mode << 16, at) + title
        )
        for piece in (_LOCAL, fields_, title, content):
            state.update(piece)
            at += len(piece)
    central = b"".join(entries)
    state.update(central)
    state.update(_END + struct.pack("<HHHHIIH", 0, 0, len(entries), len(entries), len(central), at, 0))
    return state.hexdigest()


def _members(name: str, path: str) -> Iterator[tuple[str, bytes, tuple[int, int]]]:
    """Yield the members of yarn's zip: path, content, and mode with version. Nothing is written anywhere."""
    folders: set[str] = set()

    def above(folder: str) -> Iterator[str]:
        if folder and folder not in folders:
            yield from above(dirname(folder))
            folders.add(folder)
            yield f"{folder}/"

    with gzip.open(path) as stream, tarfile.open(fileobj=_Bounded(stream), mode="r|") as archive:
        for member in archive:
            if member.size > MAX_UNPACKED:
                raise _TooLarge
            inside = normpath(member.name.partition("/")[2])
            if not (member.isfile() or member.isdir()) or inside.startswith(("..", "/")):
                continue
            place = f"node_modules/{name}" if inside == "." else f"node_modules/{name}/{inside}"
            for folder in above(place if member.isdir() else dirname(place)):
                yield folder, b"", _FOLDER
            if member.isfile() and inside != ".":
                file = archive.extractfile(member)
                yield place, file.read() if file else b"", _PROGRAM if member.mode & 0o111 else _FILE
