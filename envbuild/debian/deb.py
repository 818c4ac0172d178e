"""Debian's package archives (deb(5), deb-control(5)): their control data, for the index of a folder of packages, and
their files."""

from __future__ import annotations

import io
import os
from collections.abc import Callable, Collection, Iterator, Sequence
from typing import BinaryIO

from envbuild.archive.compression import uncompressed
from envbuild.archive.limits import ArchiveError, Limits
from envbuild.archive.tar import HARD_LINK, KINDS, Member, TarReader
from envbuild.debian.names import DebianOrigin
from envbuild.errors import WorkFailed, fields
from envbuild.lockfile.lock import Package

_MAGIC = b"!<arch>\n"
_HEADER = 60
_MAX_MEMBERS = 20
_MAX_CONTROL = 16 << 20
"""Bytes of the control data, packed: those of Debian's largest packages have one million."""
_LIMITS = Limits(members=1000, size=8 << 20, total=64 << 20)
_FILE_LIMITS = Limits(members=500_000, size=8 << 30, total=32 << 30)


@fields
class BadArchive(WorkFailed):
    """A file that is not a Debian package."""

    path: str
    reason: str

    def text(self) -> tuple[str, str]:
        return f"{self.path} is not a Debian package: {self.reason}", "renew the lock with: envbuild update"


def index_of(packages: Sequence[tuple[Package, str]]) -> bytes:
    """Return a `Packages` index of archives that lie in one folder under the names of their origins; with their
    paths."""
    stanzas = []
    for package, path in packages:
        name = DebianOrigin(package.origin).file
        algorithm, _, digest = package.hash.partition(":")
        stanza = control_of(path).rstrip("\n")
        size = os.stat(path).st_size
        stanzas.append(f"{stanza}\nFilename: ./{name}\nSize: {size}\n{algorithm.upper()}: {digest}\n")
    return "\n".join(stanzas).encode("utf-8", "surrogateescape")


def control_of(path: str) -> str:
    """Return the control file of an archive. Raises BadArchive."""
    control = control_files(path, ("control",)).get("control")
    if control is None:
        raise BadArchive(path, "it has no control file")
    return control


def control_files(path: str, names: Collection[str]) -> dict[str, str]:
    """Return those of the files beside the control file, and that one, which an archive has of `names`. Raises
    BadArchive."""
    with open(path, "rb") as file:
        size = _seek(path, file, "control.tar")
        if size > _MAX_CONTROL:
            raise BadArchive(path, f"its control data have {size:,} bytes")
        return _control(path, file.read(size), names)


def files_of(path: str) -> Iterator[tuple[Member, Callable[[int], bytes]]]:
    """Yield the plain files of an archive, each with a function that reads on in its content and is good until the next
    one; and the hard links, which have no content of their own. Raises BadArchive."""
    with open(path, "rb") as file:
        size = _seek(path, file, "data.tar")
        try:
            reader = TarReader(uncompressed(io.BufferedReader(_Part(file, size)), path), path, _FILE_LIMITS)
            for member in reader.members():
                if member.kind in ("f", KINDS[HARD_LINK]) and member.sparse is None:
                    yield member, reader.read
        except ArchiveError as error:
            raise BadArchive(path, error.message) from error


class _Part(io.RawIOBase):
    """The next `size` bytes of a file, as a file."""

    def __init__(self, file: BinaryIO, size: int) -> None:
        self._file = file
        self._start = file.tell()
        self._size = size
        self._at = 0

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        self._at = offset + {os.SEEK_SET: 0, os.SEEK_CUR: self._at, os.SEEK_END: self._size}[whence]
        return self._at

    def readinto(self, buffer: memoryview) -> int:  # type: ignore[override]  # of what a BufferedReader hands over
        self._file.seek(self._start + self._at)
        data = self._file.read(max(0, min(len(buffer), self._size - self._at)))
        buffer[: len(data)] = data
        self._at += len(data)
        return len(data)


def _seek(path: str, file: BinaryIO, wanted: str) -> int:
    """Go to where the member begins whose name begins with `wanted`, and return its size. Raises BadArchive."""
    if file.read(len(_MAGIC)) != _MAGIC:
        raise BadArchive(path, "it is not an ar archive")
    end = os.fstat(file.fileno()).st_size
    # A package has three members, and vendors add one or two.
    for _ in range(_MAX_MEMBERS):
        header = file.read(_HEADER)
        if len(header) < _HEADER:
            break
        name, size = _member(path, header)
        if size > end - file.tell():
            raise BadArchive(path, f"its member {name!a} would reach beyond its end")
        if name.startswith(wanted):
            return size
        file.seek(size + size % 2, os.SEEK_CUR)
    raise BadArchive(path, f"it has no {wanted.partition('.')[0]}")


def _member(path: str, header: bytes) -> tuple[str, int]:
    """Return the name and the size that the header of a member says."""
    digits = header[48:58].rstrip(b" ")
    if header[58:] != b"`\n" or not digits.isdigit():
        raise BadArchive(path, "a header in it is damaged")
    return header[:16].decode("ascii", "replace").strip().rstrip("/"), int(digits)


def _control(path: str, packed: bytes, names: Collection[str]) -> dict[str, str]:
    """Return files of an archive of control data. Our own reader of tar has limits, and no faults of tarfile's."""
    source = uncompressed(io.BytesIO(packed), path)
    files: dict[str, str] = {}
    try:
        reader = TarReader(source, path, _LIMITS)
        for member in reader.members():
            name = member.path.decode("utf-8", "surrogateescape")
            if name in names and member.kind == "f" and member.sparse is None:
                content = b""
                while chunk := reader.read(_LIMITS.size):
                    content += chunk
                files[name] = content.decode("utf-8", "surrogateescape")
                if len(files) == len(names):
                    break
    except ArchiveError as error:
        raise BadArchive(path, error.message) from error
    return files
