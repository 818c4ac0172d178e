"""The attribution of changed paths to changed packages.

A path belongs to a package if the package's own record says so: dpkg's lists of files, the RECORD of a Python
distribution, the directory of a Node package. It is attributed only if it has the content that the package brought, by
the digests in these records: a file that was also changed by hand stands out. What maintainer scripts make of packages
(links to their files, compiled Python, caches that triggers write) belongs to them too.
"""

from __future__ import annotations

import re
from base64 import urlsafe_b64decode
from collections.abc import Callable, Iterator, Mapping
from functools import cached_property
from hashlib import md5
from posixpath import dirname, normpath

from envbuild.debian.deb822 import conffiles_of, stanzas
from envbuild.debian.left_behind import INFO, is_record
from envbuild.history.package_changes import STATUS, PackageChange
from envbuild.packages.inventory.bad_record import MAX_STATUS, BadRecord, Unreadable
from envbuild.packages.inventory.component import DPKG, NODE, PYTHON
from envbuild.packages.inventory.python import recorded
from envbuild.store.objects import TooLargeToRead
from envbuild.store.store import Store
from envbuild.tree.diff import Change
from envbuild.tree.entry import FILE, LINK, Digest, Entry

MAX_BYTES_READ = 64_000_000
"""Bytes of files that are compared with dpkg's md5; with more, only configuration files are, and the rest is
trusted."""

MAX_ALTERNATIVE = 1 << 20
"""Bytes of update-alternatives' record of one name."""
_CHUNK = 1 << 20
_MODULES = "node_modules/"
_INFO_FILES = (
    *("list", "md5sums", "conffiles", "preinst", "postinst", "prerm", "postrm", "config", "templates"),
    *("triggers", "shlibs", "symbols", "alternatives"),
)
_CACHED = re.compile(r"(.*)__pycache__/([^/]+?)\.[\w-]+(?:\.opt-\d)?\.pyc$")
_ALTERNATIVES = "var/lib/dpkg/alternatives/"
_TURNED = re.compile(r"etc/(?:alternatives|ssl/certs|systemd|rc[0-6S]\.d)/")
"""Directories in which maintainer scripts change existing links."""

Brought = Callable[[Entry], bool]
"""A check whether an entry is what a package brought to a path."""


class Attribution:
    """The changes, sorted: `of` has those of each package by its number, `records` the package managers' own files,
    `rest` what no package explains. `bad` are records that can't be read; nothing is attributed by them."""

    def __init__(self) -> None:
        self.bad: list[BadRecord] = []
        self.of: dict[int, list[Change]] = {}
        self.records: list[Change] = []
        self.rest: list[Change] = []


def attribute(
    store: Store, trees: tuple[Digest, Digest], packages: list[PackageChange], changes: list[Change]
) -> Attribution:
    """Attribute `changes` (one for each path) to the changes of `packages` between two trees."""
    attribution = Attribution()
    debian = any(change.package.kind == DPKG for change in packages)
    owners = _owners(store, trees, packages, changes, attribution.bad) if packages else {}
    pending = []
    known: dict[str, int] = {}
    for change in changes:
        path = change.path.decode("utf-8", "surrogateescape")
        owner = _owner(owners, path, change)
        if owner is not None:
            attribution.of.setdefault(owner, []).append(change)
            known[path] = owner
        elif debian and is_record(path):
            attribution.records.append(change)
        else:
            pending.append((path, change))
    # A link belongs to the owner of its target, which may be such a link itself.
    for _ in range(3):
        kept = []
        for path, change in pending:
            owner = _owner_of_link(known, owners, path, change)
            if owner is None:
                kept.append((path, change))
            else:
                attribution.of.setdefault(owner, []).append(change)
                known[path] = owner
        pending = kept
    attribution.rest = [change for _, change in pending]
    return attribution


Owners = Mapping[str, "tuple[int, Brought]"]


def _owner(owners: Owners, path: str, change: Change) -> int | None:
    owned = owners.get(path)
    if owned is None:
        compiled = _CACHED.match(path)
        # Compiled from a source of the package, by its maintainer script or by pip.
        owned = owners.get(f"{compiled[1]}{compiled[2]}.py") if compiled else None
        return owned[0] if owned is not None else None
    number, brought = owned
    return number if change.after is None or brought(change.after) else None


def _owner_of_link(known: Mapping[str, int], owners: Owners, path: str, change: Change) -> int | None:
    entry = change.after or change.before
    if entry is None or entry.kind != LINK:
        return None
    if change.before is not None and change.after is not None and not _TURNED.match(path):
        return None  # somebody changed its target, as of /etc/localtime: the package did not
    target = entry.target.decode("utf-8", "surrogateescape")
    where = target.lstrip("/") if target.startswith("/") else normpath(f"{dirname(path)}/{target}")
    if where in known:
        return known[where]
    owned = owners.get(where)
    return owned[0] if owned is not None else None


def _owners(
    store: Store,
    trees: tuple[Digest, Digest],
    packages: list[PackageChange],
    changes: list[Change],
    bad: list[BadRecord],
) -> dict[str, tuple[int, Brought]]:
    """Return each path that one of the packages owns in one of the trees, with the package's number."""
    owners: dict[str, tuple[int, Brought]] = {}
    size = sum(change.after.size for change in changes if change.after is not None and change.after.kind == FILE)
    sources = [_Source(store, tree, bad) for tree in trees]
    modules: dict[str, int] = {}
    for number, pair in enumerate(packages):
        for source, package in zip(sources, (pair.old, pair.new), strict=True):
            if package is None:
                continue
            if package.kind == NODE:
                folder = dirname(package.record)
                modules[folder] = number
                # npm's own record of the installed packages.
                modules.setdefault(folder[: folder.rindex(_MODULES)] + _MODULES + ".package-lock.json", number)
                continue
            check = size <= MAX_BYTES_READ
            of_debian = package.kind == DPKG
            pairs = _of_debian(source, package.name, check=check) if of_debian else _of_python(source, package.record)
            for path, brought in pairs:
                owners[path] = (number, brought)
    for change in changes:
        path = change.path.decode("utf-8", "surrogateescape")
        if path.startswith(_ALTERNATIVES):
            for link in _alternatives(store, change):
                owners.setdefault(link, (_first(packages, DPKG), _anything))
        elif modules and _MODULES in path:
            module = modules.get(_module_of(path))
            if module is not None:
                owners.setdefault(path, (module, _anything))
    return {path: owned for path, owned in owners.items() if owned[0] >= 0}


def _module_of(path: str) -> str:
    """Return the directory of the Node package that a path lies in, or the path itself if it lies beside the
    packages."""
    above, _, rest = path.rpartition(_MODULES)
    parts = rest.split("/")
    return above + _MODULES + "/".join(parts[: 2 if rest.startswith("@") else 1])


def _first(packages: list[PackageChange], kind: str) -> int:
    return next((number for number, change in enumerate(packages) if change.package.kind == kind), -1)


class _Source:
    """The records in one tree, and the links at its root (`lib -> usr/lib`)."""

    def __init__(self, store: Store, tree: Digest, bad: list[BadRecord]) -> None:
        self.store = store
        self.bad = bad
        self._tree = tree
        self._links = {
            entry.name.decode(): entry.target.decode().strip("/")
            for entry in store.trees.load(tree)
            if entry.kind == LINK and entry.name.isascii() and entry.target.isascii()
        }

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

    def real(self, path: str) -> str:
        """Return a path with a link at the root resolved."""
        head, slash, rest = path.lstrip("/").partition("/")
        return f"{self._links[head]}/{rest}" if slash and head in self._links else head + slash + rest


def _of_debian(source: _Source, name: str, *, check: bool) -> Iterator[tuple[str, Brought]]:
    plain = name.partition(":")[0]
    for record in (name, plain):
        listed = source.text(f"{INFO}{record}.list")
        if listed is None:
            continue
        sums = _sums(source.text(f"{INFO}{record}.md5sums") or "") if check else {}
        sums |= source.conffiles.get(plain, {})
        yield from ((f"{INFO}{record}.{suffix}", _anything) for suffix in _INFO_FILES)
        for line in listed.splitlines():
            path = line.lstrip("/")
            if path and path != ".":
                yield source.real(path), _by_md5(source.store, sums[path]) if path in sums else _anything
        return


def _sums(text: str) -> dict[str, str]:
    pairs = (line.split("  ", 1) for line in text.splitlines() if "  " in line)
    return {path: digest for digest, path in pairs}


def _of_python(source: _Source, record: str) -> Iterator[tuple[str, Brought]]:
    folder = dirname(record)
    if not folder.endswith(".dist-info"):
        yield record, _anything
        for line in (source.text(f"{folder}/installed-files.txt") or "").splitlines():
            yield normpath(f"{folder}/{line}"), _anything
        return
    base = dirname(folder)
    try:
        rows = recorded(source.text(f"{folder}/RECORD") or "")
    except Unreadable as error:
        source.bad.append(BadRecord(PYTHON, f"/{folder}/RECORD", error.reason))
        rows = []
    for row in rows:
        if len(row) >= 2:
            yield normpath(f"{base}/{row[0]}"), _by_sha256(row[1])
    for name in ("", "/RECORD", "/INSTALLER", "/REQUESTED", "/METADATA", "/direct_url.json", "/licenses"):
        yield f"{folder}{name}", _anything


def _alternatives(store: Store, change: Change) -> Iterator[str]:
    """Yield the links that update-alternatives(1) made for one name: its link groups, and those in
    /etc/alternatives."""
    for entry in (change.before, change.after):
        if entry is not None and entry.kind == FILE:
            if entry.size > MAX_ALTERNATIVE:
                continue
            head = store.objects.read(entry).decode("utf-8", "replace").partition("\n\n")[0]
            lines = head.splitlines()
            yield f"etc/alternatives/{change.path.rpartition(b'/')[2].decode('utf-8', 'replace')}"
            yield from (line.lstrip("/") for line in lines[1:] if line.startswith("/"))
            yield from (f"etc/alternatives/{line}" for line in lines[2:] if line and not line.startswith("/"))


def _anything(_entry: Entry) -> bool:
    return True


def _by_md5(store: Store, expected: str) -> Brought:
    def brought(entry: Entry) -> bool:
        if entry.kind != FILE:
            return True
        if entry.size > MAX_BYTES_READ:
            return False  # no package has a configuration file of this size
        state = md5(usedforsecurity=False)
        with open(store.objects.open(entry), "rb") as file:
            while chunk := file.read(_CHUNK):
                state.update(chunk)
        return state.hexdigest() == expected

    return brought


def _by_sha256(recorded: str) -> Brought:
    algorithm, _, value = recorded.partition("=")
    if algorithm != "sha256":
        return _anything
    try:
        digest = urlsafe_b64decode(value + "=" * (-len(value) % 4)).hex()
    except ValueError:
        return _anything
    return lambda entry: entry.kind != FILE or entry.digest == digest
