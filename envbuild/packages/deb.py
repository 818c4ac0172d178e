"""Debian's package archives: their control data, for the index of a folder of packages (deb(5), deb-control(5))."""

from __future__ import annotations

import io
import os
import tarfile
from collections.abc import Sequence

from envbuild.errors import WorkFailed
from envbuild.lock import Package
from envbuild.packages.names import DebianOrigin

_MAGIC = b"!<arch>\n"
_HEADER = 60


class BadArchive(WorkFailed):
    """A file is no Debian package."""

    def __init__(self, path: str, reason: str) -> None:
        super().__init__(f"{path} is no Debian package: {reason}", "renew the lock with: envbuild update")


def index_of(packages: Sequence[tuple[Package, str]]) -> bytes:
    """A `Packages` index of archives that lie in one folder under the names of their origins; with their paths."""
    stanzas = []
    for package, path in packages:
        name = DebianOrigin(package.origin).file
        algorithm, _, digest = package.hash.partition(":")
        stanza = control_of(path).rstrip("\n")
        size = os.stat(path).st_size
        stanzas.append(f"{stanza}\nFilename: ./{name}\nSize: {size}\n{algorithm.upper()}: {digest}\n")
    return "\n".join(stanzas).encode("utf-8", "surrogateescape")


def control_of(path: str) -> str:
    """The control file of an archive. Raises BadArchive."""
    with open(path, "rb") as file:
        if file.read(len(_MAGIC)) != _MAGIC:
            raise BadArchive(path, "it is no ar archive")
        while len(header := file.read(_HEADER)) == _HEADER:
            name, size = header[:16].decode("ascii", "replace").strip().rstrip("/"), int(header[48:58])
            if name.startswith("control.tar"):
                return _control(path, name, file.read(size))
            file.seek(size + size % 2, os.SEEK_CUR)
    raise BadArchive(path, "it has no control data")


def _control(path: str, name: str, packed: bytes) -> str:
    if name.endswith(".zst"):
        import zstandard

        packed = zstandard.ZstdDecompressor().decompressobj().decompress(packed)
    # Only read, never extracted: its filters are not to be relied on (CVE-2025-4517).
    with tarfile.open(fileobj=io.BytesIO(packed)) as archive:
        for member in archive:
            if member.name.removeprefix("./") == "control":
                found = archive.extractfile(member)
                if found is not None:
                    return found.read().decode("utf-8", "surrogateescape")
    raise BadArchive(path, "it has no control file")
