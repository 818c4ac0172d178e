"""The packages that differ between two trees, found in the differences of their files.

Only records that differ are read: the stanzas of dpkg's status that one tree lacks, and the metadata of Python
distributions and the package.json files among the changes.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator

from envbuild.debian.deb822 import Stanza, checked_stanzas
from envbuild.packages.inventory.bad_record import (
    MAX_JSON,
    MAX_RECORD,
    MAX_STATUS,
    BadRecord,
    Unreadable,
    parsed_json,
)
from envbuild.packages.inventory.component import DPKG, NODE, PYTHON, check_identity
from envbuild.packages.inventory.dpkg import is_installed
from envbuild.packages.inventory.python import headers
from envbuild.record import Record, values
from envbuild.store.store import Store
from envbuild.tree.diff import Change
from envbuild.tree.entry import FILE, Entry

STATUS = b"var/lib/dpkg/status"
_METADATA = (b".dist-info/METADATA", b".egg-info/PKG-INFO")
_PACKAGES = b"-packages/"
_PACKAGE_JSON = b"/package.json"
_MODULES = b"node_modules/"
MAX_VERSION = 1000
"""Characters of a version that are compared."""
_PART = re.compile(r"([^0-9]*)([0-9]*)")


class Package(Record):
    """A package of one of the trees. `kind` is dpkg, python or node, `where` the directory that it lies in ("" for
    dpkg), `name` its own name, with `:ARCH` for dpkg's, and `record` the path of its record."""

    kind: str
    name: str
    version: str
    where: str
    record: str


class PackageChange(Record):
    """A package that differs: `old` or `new` is None where only one tree has it. Both of one version: other files."""

    old: Package | None
    new: Package | None

    @property
    def package(self) -> Package:
        """The new package, or the old one if it was removed."""
        package = self.new or self.old
        assert package is not None
        return package

    @property
    def verb(self) -> str:
        """added, removed, upgraded, downgraded or rebuilt."""
        if self.old is None:
            return "added"
        if self.new is None:
            return "removed"
        if self.old.version == self.new.version:
            return "rebuilt"
        return "upgraded" if is_older(self.old.kind, self.old.version, self.new.version) else "downgraded"


class PackageChanges(Record):
    """The packages that differ, sorted by kind, place and name; and the changed records that can't be read."""

    changes: tuple[PackageChange, ...]
    bad: tuple[BadRecord, ...]


class Attribution:
    """The changes, sorted: `of` has those of each package by its number, `records` the package managers' own files,
    `rest` what no package explains. `owners` are the packages that paths of the rest belong to nevertheless, by their
    numbers, `edited` those of these paths with other content than their package brought, and `unread` those whose
    content was not compared. `bad` are records that can't be read; nothing is attributed by them."""

    def __init__(self) -> None:
        self.bad: list[BadRecord] = []
        self.of: dict[int, list[Change]] = {}
        self.records: list[Change] = []
        self.rest: list[Change] = []
        self.owners: dict[bytes, int] = {}
        self.edited: set[bytes] = set()
        self.unread: frozenset[bytes] = frozenset()


def package_changes(store: Store, changes: Iterable[Change]) -> PackageChanges:
    """Return the packages that differ. `changes` are of files, one for each path."""
    before: list[Package] = []
    after: list[Package] = []
    bad: list[BadRecord] = []
    for change in changes:
        reader = _reader(change.path)
        if reader is None:
            continue
        path = change.path.decode("utf-8", "surrogateescape")
        old, new = (_content(store, entry, reader, path, bad) for entry in (change.before, change.after))
        if reader is _debian and old is not None and new is not None:
            # Few of some hundred stanzas differ, and only these are read.
            ours, theirs = set(old.split(b"\n\n")), set(new.split(b"\n\n"))
            old, new = b"\n\n".join(ours - theirs), b"\n\n".join(theirs - ours)
        for content, packages in ((old, before), (new, after)):
            for package in reader(path, content) if content is not None else ():
                if isinstance(package, BadRecord):
                    bad.append(package)
                else:
                    packages.append(package)
    return PackageChanges(tuple(_paired(before, after)), tuple(sorted(set(bad), key=values)))


def _paired(before: list[Package], after: list[Package]) -> list[PackageChange]:
    old = {_identity(package): package for package in before}
    new = {_identity(package): package for package in after}
    changes = []
    for identity in sorted(old.keys() | new.keys()):
        left, right = old.get(identity), new.get(identity)
        if left is not None and right is not None and left.kind == DPKG and left.version == right.version:
            continue  # only another field of its stanza differs
        changes.append(PackageChange(left, right))
    return changes


def _identity(package: Package) -> tuple[str, str, str]:
    name = re.sub(r"[-_.]+", "-", package.name).lower() if package.kind == PYTHON else package.name
    return package.kind, package.where, name


_Reader = Callable[[str, bytes], Iterator["Package | BadRecord"]]


def _reader(path: bytes) -> _Reader | None:
    if path == STATUS or path.startswith(STATUS + b".d/"):
        return None if path.endswith(b".md5sums") else _debian
    if _PACKAGES in path and (path.endswith(_METADATA) or path.endswith(b".egg-info")):
        return _python
    if path.endswith(_PACKAGE_JSON) and _MODULES in path:
        return _node
    return None


def _debian(path: str, content: bytes) -> Iterator[Package | BadRecord]:
    for stanza in checked_stanzas(content.decode("utf-8", "replace")):
        try:
            package = _of_stanza(stanza, path)
        except Unreadable as error:
            name = stanza.fields.get("package", "")
            called = (
                f"the stanza of {name}" if name.isascii() and name.isprintable() and 0 < len(name) < 80 else "a stanza"
            )
            # Its line number would count only the stanzas that differ.
            yield BadRecord(DPKG, f"/{path}", f"{called}: {'not a stanza' if stanza.fault else error.reason}")
            continue
        if package is not None:
            yield package


def _of_stanza(stanza: Stanza, path: str) -> Package | None:
    fields = stanza.fields
    if stanza.fault:
        raise Unreadable(stanza.fault)
    if not is_installed(fields.get("status", "install ok installed" if path.encode() != STATUS else "")):
        return None
    name, version = check_identity(DPKG, fields.get("package"), fields.get("version"))
    architecture, _ = check_identity(DPKG, fields.get("architecture", "all"), version)
    return Package(DPKG, f"{name}:{architecture}", version, "", path)


def _python(path: str, content: bytes) -> Iterator[Package | BadRecord]:
    try:
        fields = headers(content.decode("utf-8", "replace"))
        name, version = check_identity(PYTHON, fields.get("name", [""])[0], fields.get("version", [""])[0])
    except Unreadable as error:
        yield BadRecord(PYTHON, f"/{path}", error.reason)
        return
    folder = path.rpartition("/")[0] if path.endswith((".dist-info/METADATA", ".egg-info/PKG-INFO")) else path
    yield Package(PYTHON, name, version, folder.rpartition("/")[0], path)


def _node(path: str, content: bytes) -> Iterator[Package | BadRecord]:
    folder = path.removesuffix("/package.json")
    name = folder.rpartition("node_modules/")[2]
    if name.count("/") != name.startswith("@"):
        return  # it describes only a part of a package
    try:
        plain = parsed_json(content)
        if not isinstance(plain, dict):
            raise Unreadable("it is not a map")
        name, version = check_identity(NODE, name, plain.get("version"))
    except Unreadable as error:
        yield BadRecord(NODE, f"/{path}", error.reason)
        return
    yield Package(NODE, name, version, folder[: -len(name) - 1], path)


def _content(store: Store, entry: Entry | None, reader: _Reader, path: str, bad: list[BadRecord]) -> bytes | None:
    """Return the record, None if there is none or the file is too large to be one."""
    if entry is None or entry.kind != FILE:
        return None
    kinds: dict[_Reader, tuple[str, int]] = {
        _debian: (DPKG, MAX_STATUS),
        _python: (PYTHON, MAX_RECORD),
        _node: (NODE, MAX_JSON),
    }
    kind, most = kinds[reader]
    if entry.size > most:
        bad.append(BadRecord(kind, f"/{path}", f"it has {entry.size:,} bytes"))
        return None
    return store.objects.read(entry)


def is_older(kind: str, version: str, than: str) -> bool:
    """Return whether `version` sorts before `than`. Debian's rules (deb-version(7)) apply to all kinds: epoch,
    upstream version and revision, digits as numbers, `~` before all else; a pre-release of Python and Node is marked
    with `~`."""
    version, than = version[:MAX_VERSION], than[:MAX_VERSION]
    if kind != "dpkg":
        version, than = _marked(version), _marked(than)
    return _key(version) < _key(than)


def _marked(version: str) -> str:
    """Return a version of Python (PEP 440) or Node (semver.org) with its pre-release part marked to sort first."""
    return re.sub(r"[-_.]?(a|b|rc|alpha|beta|pre|dev|next|canary)(?=[.\d]|$)", r"~\1", version.partition("+")[0])


def _key(version: str) -> tuple[int, list[tuple[list[int], int]], list[tuple[list[int], int]]]:
    epoch, colon, rest = version.partition(":")
    if not colon or not re.fullmatch("[0-9]{1,9}", epoch):
        epoch, rest = "0", version
    upstream, _, revision = rest.rpartition("-") if "-" in rest else (rest, "", "")
    return int(epoch), _parts(upstream), _parts(revision)


def _parts(text: str) -> list[tuple[list[int], int]]:
    # The end of a text sorts before all but `~`, letters before the rest: deb-version(7).
    pieces = [(letters, digits) for letters, digits in _PART.findall(text) if letters or digits]
    return [([*map(_order, letters), 0], int(digits or 0)) for letters, digits in [*pieces, ("", "")]]


def _order(letter: str) -> int:
    if letter == "~":
        return -1
    return ord(letter) if letter.isalpha() else ord(letter) + 256
