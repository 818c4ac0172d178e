"""What packages shipped: the md5 of a file of a Debian package as its record has it, and whether a content is that."""

from __future__ import annotations

import re
from functools import cached_property
from hashlib import md5

from envbuild.debian.deb822 import conffiles_of, stanzas
from envbuild.debian.left_behind import INFO
from envbuild.history.package_owners import root_links
from envbuild.packages.inventory.bad_record import MAX_STATUS
from envbuild.record import Record
from envbuild.store.objects import TooLargeToRead
from envbuild.store.store import Store
from envbuild.tree.entry import FILE, Digest, Entry

MAX_CHECKED = 16 << 20
"""Bytes of a file that is compared with what its package shipped."""
_UCF = "var/lib/ucf/"
_STATUS = "var/lib/dpkg/status"


class Shipped(Record):
    """A file as its package shipped it: the package's name, and the md5 of its content."""

    package: str
    md5: str


class ShippedFiles:
    """What the packages of a tree shipped, read when it is asked for."""

    def __init__(self, store: Store, tree: Digest) -> None:
        self._store = store
        self._tree = tree

    def of(self, path: bytes, package: str = "") -> Shipped | None:
        """Return what a package shipped at a path, None if no record says it. `package` is the one that owns the path,
        if that is known: then its md5 sums are looked at, too."""
        name = path.decode("utf-8", "surrogateescape")
        for known in (self._conffiles, self._ucf):
            if name in known:
                return known[name]
        if not package:
            return None
        for record in dict.fromkeys((package, package.partition(":")[0])):
            listed = re.search(rf"^([0-9a-f]{{32}})  {re.escape(name)}$", self._sums(record), re.MULTILINE)
            if listed is not None:
                return Shipped(package.partition(":")[0], listed[1])
        return None

    def is_as_shipped(self, entry: Entry, shipped: Shipped) -> bool | None:
        """Return whether a file has the content that its package shipped; None if it is too large to be read."""
        if entry.kind != FILE:
            return False
        if entry.size > MAX_CHECKED:
            return None
        return md5(self._store.objects.read(entry), usedforsecurity=False).hexdigest() == shipped.md5

    @cached_property
    def _conffiles(self) -> dict[str, Shipped]:
        return {
            self._real(path): Shipped(fields.get("package", ""), digest)
            for fields in stanzas(self._text(_STATUS))
            if "conffiles" in fields
            for path, digest in conffiles_of(fields, obsolete=True)
        }

    @cached_property
    def _ucf(self) -> dict[str, Shipped]:
        lines = (line.split("  ", 1) for line in self._text(f"{_UCF}hashfile").splitlines() if "  " in line)
        digests = {path.strip(): digest for digest, path in lines}
        rows = (line.partition("\t") for line in self._text(f"{_UCF}registry").splitlines())
        return {
            self._real(path.strip()): Shipped(package.strip(), digests[path.strip()])
            for package, _, path in rows
            if path.strip() in digests
        }

    @cached_property
    def _links(self) -> dict[str, str]:
        return root_links(self._store, self._tree)

    def _real(self, path: str) -> str:
        head, slash, rest = path.lstrip("/").partition("/")
        return f"{self._links[head]}/{rest}" if slash and head in self._links else head + slash + rest

    def _sums(self, record: str) -> str:
        text = self._text(f"{INFO}{record}.md5sums")
        # Packages may have files in /lib that lie in /usr/lib.
        for link, target in self._links.items():
            text = re.sub(rf"^([0-9a-f]{{32}})  {re.escape(link)}/", rf"\1  {target}/", text, flags=re.MULTILINE)
        return text

    def _text(self, path: str) -> str:
        try:
            return self._store.read_text(self._tree, path, MAX_STATUS) or ""
        except TooLargeToRead:
            return ""
