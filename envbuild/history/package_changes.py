"""Which packages differ between two trees, found in what differs between their files.

Only the records that differ are read: the stanzas of dpkg's status that one side lacks, the metadata of the Python
distributions and the package.json files that are among the changes.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable, Iterator

from envbuild.packages.inventory.component import DPKG, NODE, PYTHON
from envbuild.record import Record
from envbuild.store.store import Store
from envbuild.tree.diff import Change
from envbuild.tree.entry import FILE, Entry

STATUS = b"var/lib/dpkg/status"
_METADATA = (b".dist-info/METADATA", b".egg-info/PKG-INFO")
_PACKAGES = b"-packages/"
_PACKAGE_JSON = b"/package.json"
_MODULES = b"node_modules/"
_FIELD = re.compile(rb"^(Package|Version|Architecture|Status|Name):[ \t]*(.*)$", re.MULTILINE)


class Package(Record):
    """A package that one of the trees has: `kind` is dpkg, python or node, `where` the folder that it lies in (for dpkg
    ""), `name` as it calls itself, with `:ARCH` for dpkg's; `record` is the path of what says so."""

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
    def any(self) -> Package:
        """One of the two."""
        found = self.new or self.old
        assert found is not None
        return found

    @property
    def verb(self) -> str:
        """added, removed, upgraded, downgraded or rebuilt."""
        if self.old is None:
            return "added"
        if self.new is None:
            return "removed"
        if self.old.version == self.new.version:
            return "rebuilt"
        from envbuild.history.versions import is_older  # only where one moved

        return "upgraded" if is_older(self.old.kind, self.old.version, self.new.version) else "downgraded"


def package_changes(store: Store, changes: Iterable[Change]) -> list[PackageChange]:
    """The packages that differ, by kind, place and name. `changes` are of files, one for each path."""
    before: list[Package] = []
    after: list[Package] = []
    for change in changes:
        reader = _reader(change.path)
        if reader is None:
            continue
        old, new = _content(store, change.before), _content(store, change.after)
        path = change.path.decode("utf-8", "surrogateescape")
        if reader is _debian and old is not None and new is not None:
            # Of some hundred stanzas few differ, and only these are read.
            ours, theirs = set(old.split(b"\n\n")), set(new.split(b"\n\n"))
            old, new = b"\n\n".join(ours - theirs), b"\n\n".join(theirs - ours)
        before += reader(path, old) if old is not None else ()
        after += reader(path, new) if new is not None else ()
    return _paired(before, after)


def _paired(before: list[Package], after: list[Package]) -> list[PackageChange]:
    old = {_identity(one): one for one in before}
    new = {_identity(one): one for one in after}
    found = []
    for identity in sorted(old.keys() | new.keys()):
        one, other = old.get(identity), new.get(identity)
        if one is not None and other is not None and one.kind == DPKG and one.version == other.version:
            continue  # another word of its stanza: not what is installed
        found.append(PackageChange(one, other))
    return found


def _identity(one: Package) -> tuple[str, str, str]:
    name = re.sub(r"[-_.]+", "-", one.name).lower() if one.kind == PYTHON else one.name
    return one.kind, one.where, name


def _reader(path: bytes) -> Callable[[str, bytes], Iterator[Package]] | None:
    if path == STATUS or path.startswith(STATUS + b".d/"):
        return None if path.endswith(b".md5sums") else _debian
    if _PACKAGES in path and (path.endswith(_METADATA) or path.endswith(b".egg-info")):
        return _python
    if path.endswith(_PACKAGE_JSON) and _MODULES in path:
        return _node
    return None


def _debian(path: str, content: bytes) -> Iterator[Package]:
    for stanza in content.split(b"\n\n"):
        fields = _fields(stanza)
        if "Package" in fields and fields.get("Status", "installed").endswith("installed") and "Version" in fields:
            name = f"{fields['Package']}:{fields.get('Architecture', 'all')}"
            yield Package(DPKG, name, fields["Version"], "", path)


def _python(path: str, content: bytes) -> Iterator[Package]:
    fields = _fields(content.partition(b"\n\n")[0])
    if fields.get("Name") and fields.get("Version"):
        folder = path.rpartition("/")[0] if path.endswith((".dist-info/METADATA", ".egg-info/PKG-INFO")) else path
        yield Package(PYTHON, fields["Name"], fields["Version"], folder.rpartition("/")[0], path)


def _node(path: str, content: bytes) -> Iterator[Package]:
    folder = path.removesuffix("/package.json")
    name = folder.rpartition("node_modules/")[2]
    if name.count("/") != name.startswith("@"):
        return  # it describes a part of a package
    try:
        plain = json.loads(content)
    except ValueError:
        return
    if isinstance(plain, dict) and plain.get("version"):
        yield Package(NODE, name, str(plain["version"]), folder[: -len(name) - 1], path)


def _fields(text: bytes) -> dict[str, str]:
    """The first value of each field that matters here."""
    found: dict[str, str] = {}
    for name, value in _FIELD.findall(text):
        found.setdefault(name.decode(), value.decode("utf-8", "replace").strip())
    return found


def _content(store: Store, entry: Entry | None) -> bytes | None:
    return store.objects.read(entry) if entry is not None and entry.kind == FILE else None
