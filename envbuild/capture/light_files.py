"""Which files a light capture keeps as digests only: those that are as their Debian package shipped them, of packages
that apt can get again.

dpkg's records are what says how a package shipped a file. They have its md5, and a capture takes the sha256 of what it
reads, which is what the content is held against when it comes back. A package that no archive in apt's lists has (one
installed from a file, or replaced there by a later version) could not be had again, so its files are stored.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Mapping

from envbuild.capture.machine_root import MachineRoot
from envbuild.debian.offered_packages import LISTS, is_list, offered
from envbuild.debian.shipped_files import ShippedFile, shipped_files
from envbuild.digest import Sha256
from envbuild.record import Record
from envbuild.store.objects import Objects
from envbuild.store.promised import Promise
from envbuild.tree.entry import Entry

_CHUNK = 1 << 20


class Left(Record):
    """What a light capture left to packages: files, their bytes, and packages; and the `kept` packages whose files were
    stored, as apt knows no archive that has them."""

    files: int
    size: int
    packages: int
    kept: int


class LightFiles:
    """The files of one machine that packages have. Readers ask whether a file is one of them; the process that puts the
    capture together promises those that are. `promises` are those so far."""

    def __init__(self, shipped: Mapping[str, ShippedFile], kept: int) -> None:
        """`shipped` are the files of packages that can be had again, `kept` is the number of other packages."""
        self._shipped = shipped
        self._kept = kept
        self.promises: list[Promise] = []

    def take(self, path: bytes, entry: Entry, opened: int) -> Entry | None:
        """Return the entry of an open file, with its digest, that is as its package shipped it; None for another one,
        whose descriptor stands at its beginning again. Raises OSError."""
        shipped = self._shipped.get(path.decode("utf-8", "surrogateescape"))
        if shipped is None:
            return None
        sha256, md5, size = Sha256(), hashlib.md5(usedforsecurity=False), 0
        while chunk := os.read(opened, _CHUNK):
            sha256.update(chunk)
            md5.update(chunk)
            size += len(chunk)
        if md5.hexdigest() != shipped.md5:
            os.lseek(opened, 0, os.SEEK_SET)
            return None
        return entry._replace(digest=sha256.hexdigest(), size=size)

    def promise(self, path: bytes, entry: Entry, objects: Objects) -> None:
        """Promise the content of a file that was taken, unless the pool has it."""
        if not objects.has(entry):
            shipped = self._shipped[path.decode("utf-8", "surrogateescape")]
            self.promises.append(Promise(entry, shipped.package, shipped.version, shipped.architecture, shipped.path))

    def left(self) -> Left:
        """Return what was left to packages so far."""
        packages = {(promise.package, promise.version, promise.architecture) for promise in self.promises}
        size = sum(promise.entry.size for promise in self.promises)
        return Left(len(self.promises), size, len(packages), self._kept)


def light_files(root: MachineRoot) -> LightFiles:
    """Return the files of a machine that packages have, by its own records of dpkg and apt."""
    shipped = shipped_files(root.read_text, root.names, root.link)
    lists: list[tuple[str, int]] = []
    try:
        for name in filter(is_list, root.names(LISTS)):
            try:
                lists.append((name, root.open(f"{LISTS}/{name}")))
            except OSError:
                continue  # then the machine's files are stored
        packages = {file[:3] for file in shipped.values()}
        offers = offered(lists, packages)
        return LightFiles({path: file for path, file in shipped.items() if file[:3] in offers}, len(packages - offers))
    finally:
        for _, descriptor in lists:
            os.close(descriptor)
