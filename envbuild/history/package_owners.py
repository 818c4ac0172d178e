"""The paths that changed packages own, by the records of dpkg, of Python distributions and of Node packages."""

from __future__ import annotations

import os
from base64 import urlsafe_b64decode
from collections.abc import Iterator, Mapping
from functools import cached_property
from posixpath import dirname, normpath

from envbuild.debian.deb822 import conffiles_of, stanzas
from envbuild.debian.left_behind import INFO
from envbuild.history.package_changes import STATUS, PackageChange
from envbuild.packages.inventory.bad_record import MAX_STATUS, BadRecord, Unreadable
from envbuild.packages.inventory.component import DPKG, NODE, PYTHON
from envbuild.packages.inventory.python import recorded
from envbuild.record import NamedTuple
from envbuild.store.objects import TooLargeToRead
from envbuild.store.store import Store
from envbuild.tree.diff import Change
from envbuild.tree.entry import DIRECTORY, FILE, LINK, Digest, Entry
from envbuild.tree.lookup import lookup

ANY, MD5, SHA256 = "", "md5", "sha256"
MAX_ALTERNATIVE = 1 << 20
"""Bytes of update-alternatives' record of one name."""
_MODULES = "node_modules/"
_INFO_FILES = (
    *("list", "md5sums", "conffiles", "preinst", "postinst", "prerm", "postrm", "config", "templates"),
    *("triggers", "shlibs", "symbols", "alternatives"),
)
_UCF = "var/lib/ucf/"
_ALTERNATIVES = "var/lib/dpkg/alternatives/"


class Owned(NamedTuple):
    """The package that a path belongs to, by its number, and the digest of the content that it brought: of the kind
    MD5 or SHA256, ANY if that is not recorded."""

    number: int
    kind: str = ANY
    digest: str = ""


Owners = Mapping[str, Owned]


def package_owners(
    store: Store,
    trees: tuple[Digest, Digest],
    packages: list[PackageChange],
    changes: list[Change],
    bad: list[BadRecord],
    *,
    sums: bool,
) -> tuple[dict[str, Owned], dict[str, set[str]]]:
    """Return each path that one of the packages owns in one of the trees; and of the links that update-alternatives
    turned, where they may lead. Without `sums` Debian's md5 sums are not read."""
    owners: dict[str, Owned] = {}
    modules: dict[str, int] = {}
    # What the new tree's packages say of a path counts more than what the old tree's said.
    for side, tree in enumerate(trees):
        source = _Source(store, tree, bad)
        for number, pair in enumerate(packages):
            package = (pair.old, pair.new)[side]
            if package is None:
                continue
            if package.kind == NODE:
                folder = dirname(package.record)
                modules[folder] = number
                # npm's own record of the installed packages.
                modules.setdefault(folder[: folder.rindex(_MODULES)] + _MODULES + ".package-lock.json", number)
                continue
            of_debian = package.kind == DPKG
            pairs = _of_debian(source, package.name, sums=sums) if of_debian else _of_python(source, package.record)
            for path, kind, digest in pairs:
                owners[path] = Owned(number, kind, digest)
    turned: dict[str, set[str]] = {}
    first = next((number for number, change in enumerate(packages) if change.package.kind == DPKG), -1)
    for change in changes:
        path = change.path.decode("utf-8", "surrogateescape")
        if path.startswith(_ALTERNATIVES) and first >= 0:
            for link, targets in _alternatives(store, change):
                owners.setdefault(link, Owned(first))
                turned.setdefault(link, set()).update(targets)
        elif modules and _MODULES in path:
            module = modules.get(_module_of(path))
            if module is not None:
                owners.setdefault(path, Owned(module))
    return owners, turned


def _module_of(path: str) -> str:
    """Return the directory of the Node package that a path lies in, or the path itself if it lies beside the
    packages."""
    above, _, rest = path.rpartition(_MODULES)
    parts = rest.split("/")
    return above + _MODULES + "/".join(parts[: 2 if rest.startswith("@") else 1])


def root_links(store: Store, tree: Digest) -> dict[str, str]:
    """Return the links at the root of a tree (`lib -> usr/lib`), by name."""
    return {
        entry.name.decode(): entry.target.decode().strip("/")
        for entry in store.trees.load(tree)
        if entry.kind == LINK and entry.name.isascii() and entry.target.isascii()
    }


class _Source:
    """The records in one tree, and the links at its root (`lib -> usr/lib`)."""

    def __init__(self, store: Store, tree: Digest, bad: list[BadRecord]) -> None:
        self.store = store
        self.bad = bad
        self._tree = tree
        self._links = root_links(store, tree)

    @cached_property
    def info(self) -> dict[str, Entry]:
        """dpkg's own files of packages, by name."""
        folder = lookup(self.store.trees, self._tree, INFO.encode())
        entries = self.store.trees.load(folder.digest) if folder is not None and folder.kind == DIRECTORY else ()
        return {os.fsdecode(entry.name): entry for entry in entries if entry.kind == FILE}

    def info_text(self, name: str) -> str | None:
        """Return dpkg's own file of this name, None if there is none."""
        entry = self.info.get(name)
        if entry is None:
            return None
        try:
            return self.store.objects.read(entry, MAX_STATUS).decode("utf-8", "surrogateescape")
        except TooLargeToRead as error:
            self.bad.append(BadRecord(DPKG, f"/{INFO}{name}", f"it has {error.entry.size:,} bytes"))
            return None

    def text(self, path: str) -> str | None:
        try:
            return self.store.read_text(self._tree, path, MAX_STATUS)
        except TooLargeToRead as error:
            self.bad.append(BadRecord(DPKG, f"/{path}", f"it has {error.entry.size:,} bytes"))
            return None

    @cached_property
    def conffiles(self) -> dict[str, dict[str, str]]:
        """The md5 that dpkg has of each package's configuration files, as they were brought."""
        return {
            fields.get("package", ""): {
                path.lstrip("/"): digest for path, digest in conffiles_of(fields, obsolete=True)
            }
            for fields in stanzas(self.text(STATUS.decode()) or "")
            if "conffiles" in fields
        }

    @cached_property
    def ucf(self) -> dict[str, dict[str, str]]:
        """The md5 of each package's configuration files that ucf(1) keeps, as they were brought."""
        digests = _sums(self.text(f"{_UCF}hashfile") or "")
        files: dict[str, dict[str, str]] = {}
        for line in (self.text(f"{_UCF}registry") or "").splitlines():
            package, _, path = line.partition("\t")
            if path.strip() in digests:
                files.setdefault(package.strip(), {})[path.strip().lstrip("/")] = digests[path.strip()]
        return files

    def real(self, path: str) -> str:
        """Return a path with a link at the root resolved."""
        head, slash, rest = path.lstrip("/").partition("/")
        return f"{self._links[head]}/{rest}" if slash and head in self._links else head + slash + rest


def _of_debian(source: _Source, name: str, *, sums: bool) -> Iterator[tuple[str, str, str]]:
    plain = name.partition(":")[0]
    for record in (name, plain):
        listed = source.info_text(f"{record}.list")
        if listed is None:
            continue
        digests = {}
        if sums:
            digests = _sums(source.info_text(f"{record}.md5sums") or "") | source.conffiles.get(plain, {})
        yield from ((f"{INFO}{record}.{suffix}", ANY, "") for suffix in _INFO_FILES)
        for line in listed.splitlines():
            path = line.lstrip("/")
            if path and path != ".":
                yield source.real(path), MD5 if path in digests else ANY, digests.get(path, "")
        yield from ((source.real(path), MD5, digest) for path, digest in source.ucf.get(plain, {}).items())
        return


def _sums(text: str) -> dict[str, str]:
    pairs = (line.split("  ", 1) for line in text.splitlines() if "  " in line)
    return {path: digest for digest, path in pairs}


def _of_python(source: _Source, record: str) -> Iterator[tuple[str, str, str]]:
    folder = dirname(record)
    if not folder.endswith(".dist-info"):
        yield record, ANY, ""
        for line in (source.text(f"{folder}/installed-files.txt") or "").splitlines():
            yield normpath(f"{folder}/{line}"), ANY, ""
        return
    base = dirname(folder)
    try:
        rows = recorded(source.text(f"{folder}/RECORD") or "")
    except Unreadable as error:
        source.bad.append(BadRecord(PYTHON, f"/{folder}/RECORD", error.reason))
        rows = []
    for row in rows:
        if len(row) >= 2:
            digest = _sha256(row[1])
            yield normpath(f"{base}/{row[0]}"), SHA256 if digest else ANY, digest
    for name in ("", "/RECORD", "/INSTALLER", "/REQUESTED", "/METADATA", "/direct_url.json", "/licenses"):
        yield f"{folder}{name}", ANY, ""


def _sha256(recorded: str) -> str:
    """Return the digest in a RECORD in hexadecimal digits, "" for one of another algorithm."""
    algorithm, _, value = recorded.partition("=")
    try:
        return urlsafe_b64decode(value + "=" * (-len(value) % 4)).hex() if algorithm == "sha256" else ""
    except ValueError:
        return ""


def _alternatives(store: Store, change: Change) -> Iterator[tuple[str, set[str]]]:
    """Yield the links that update-alternatives(1) made for one name: its link groups, and those in /etc/alternatives;
    each with the paths where it may lead."""
    for entry in (change.before, change.after):
        if entry is None or entry.kind != FILE or entry.size > MAX_ALTERNATIVE:
            continue
        head, _, choices = store.objects.read(entry).decode("utf-8", "replace").partition("\n\n")
        status, *lines = head.splitlines()
        names = [change.path.rpartition(b"/")[2].decode("utf-8", "replace"), *lines[1::2]]
        links = [line.lstrip("/") for line in lines[::2]]
        # Who chose by hand may have had other reasons than a package; a removed name's links go with it.
        own = {line.lstrip("/") for line in choices.splitlines() if line.startswith("/")} if status == "auto" else set()
        for name, link in zip(names, links, strict=False):
            yield f"etc/alternatives/{name}", own if entry is change.after else set()
            yield link, {f"etc/alternatives/{name}"}
