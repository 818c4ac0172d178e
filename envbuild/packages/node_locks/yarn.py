"""yarn.lock, in the form of yarn 1 and in that of later ones ("berry")."""

from __future__ import annotations

import base64
import re

from envbuild.packages.documents import fields_of
from envbuild.packages.manager import Contents
from envbuild.packages.node_locks import OTHER_LOCKS
from envbuild.packages.node_locks.graph import MAX_PACKAGES, Edge, Graph, NodePackage
from envbuild.packages.node_locks.indented_text import BadProjectLock, Table, read
from envbuild.packages.node_locks.project import MANIFEST, named, wanted
from envbuild.packages.node_names import NodePath, NodeVersion

RENEW = "yarn install"
_METADATA = "__metadata"
_DESCRIPTOR = re.compile(r'"((?:[^"\\]|\\.)*)"|([^\s,"][^,"]*)')
_ELSEWHERE = re.compile(
    r"(?:git|github|gitlab|bitbucket|file|link|portal|workspace|exec|https?|ssh)(?:\+\w+)?:|[^@:\s]+/"
)
_SHA1 = re.compile(r"#([0-9a-f]{40})$")
_CONDITION = re.compile(r"\b(os|cpu|libc)=([\w-]+)")
_HINT = "only packages of a registry can be installed from a lock: copy it in and use a run step, or publish it"


def graph_of(contents: Contents, omit: frozenset[str]) -> Graph:
    """Return what the project's lock says, without the kinds of dependencies in `omit`. Raises BadProjectLock,
    BadDocument and BadName."""
    path, content = named(contents, OTHER_LOCKS["yarn"])
    is_berry = f"\n{_METADATA}:".encode() in b"\n" + content
    table = read(path, content, colons=is_berry)
    if len(table.values) > MAX_PACKAGES:
        raise table.bad("", f"it has more than {MAX_PACKAGES:,} packages")
    lock = _Lock(table, contents, is_berry=is_berry)
    roots = tuple(lock.edge("package.json", *entry) for entry in wanted(contents, omit))
    nodes: dict[str, NodePackage] = {}
    edges = list(roots)
    while edges:
        edge = edges.pop()
        if edge.key not in nodes:
            nodes[edge.key] = package = lock.package(edge.key, omit)
            edges += package.needs
    return Graph(path, nodes, roots)


class _Lock:
    """The entries of a yarn.lock, by what they answer: descriptors such as `ms@^2.1.0`."""

    def __init__(self, table: Table, contents: Contents, *, is_berry: bool) -> None:
        self._table = table
        self._is_berry = is_berry
        self._keys: dict[str, str] = {}
        for key in table.values:
            if is_berry and key == _METADATA:
                continue
            descriptors = key.split(", ") if is_berry else ["".join(parts) for parts in _DESCRIPTOR.findall(key)]
            for descriptor in descriptors:
                if self._keys.setdefault(descriptor, key) != key:
                    raise table.bad(key, f"{descriptor[:100]} is there twice")
        manifest = fields_of(named(contents, MANIFEST)[1], MANIFEST).fields("resolutions")
        # Of `a/**/b` and `b@npm:^1` it is b that gets another version.
        self._resolutions = [(pattern, manifest.text(pattern)) for pattern in manifest.names()]

    def edge(self, by: str, alias: str, wanted: str, optional: bool) -> Edge:
        """Return what `alias@wanted` means. Raises BadProjectLock."""
        NodePath(alias)
        names = [f"{alias}@{wanted}", *([f"{alias}@npm:{wanted}"] if self._is_berry else [])]
        for pattern, value in self._resolutions:
            last = re.search(r"(?:^|/)((?:@[^/@]+/)?[^/@]+)(?:@[^/]*)?$", pattern)
            if last is not None and last[1] == alias:
                names += [f"{alias}@{value}", f"{alias}@npm:{value}"]
        for name in names:
            if name in self._keys:
                return Edge(alias, self._keys[name], optional)
        if _ELSEWHERE.match(wanted):
            raise self._table.bad("", f"{by} wants {alias} from '{wanted[:100]}'", _HINT)
        reason = f"{by[:100]} wants {alias}@{wanted[:60]}, and the lock does not have it"
        raise BadProjectLock(self._table.path, 0, reason, f"renew it with: {RENEW}")

    def package(self, key: str, omit: frozenset[str]) -> NodePackage:
        """Return the package of an entry. Raises BadProjectLock and BadName."""
        entry = self._table.table(key)
        name, place, integrity = self._identity(key, entry)
        conditions = _CONDITION.findall(entry.text("conditions"))
        needs = []
        meta = entry.table("dependenciesMeta")
        for section, is_optional in (("dependencies", False), ("optionalDependencies", True)):
            for alias, text in entry.table(section).pairs():
                optional = is_optional or (alias in meta.values and meta.table(alias).text("optional") == "true")
                if not (optional and "optional" in omit):
                    needs.append(self.edge(name, alias, text, optional))
        return NodePackage(
            NodePath(name),
            NodeVersion(entry.text("version")),
            entry.line,
            integrity,
            place,
            tuple(value for kind, value in conditions if kind == "os"),
            tuple(value for kind, value in conditions if kind == "cpu"),
            tuple(value for kind, value in conditions if kind == "libc"),
            tuple(needs),
            tuple(entry.table("peerDependencies").values),
            says_platform=self._is_berry,
            checksum=entry.text("checksum"),
        )

    def _identity(self, key: str, entry: Table) -> tuple[str, str, str]:
        """Return an entry's name, where the lock has its archive, and its hash as far as the lock has one."""
        if self._is_berry:
            resolution = entry.text("resolution")
            at = resolution.find("@", 1)
            name, source = resolution[:at], resolution[at + 1 :]
            # The patches that yarn brings along make packages fit for its own way to load them.
            if not source.startswith("npm:") and not (source.startswith("patch:") and "builtin<" in source):
                raise self._table.bad(key, f"{name[:100]} comes from '{source[:100]}'", _HINT)
            return name, "", ""
        descriptor = "".join(_DESCRIPTOR.findall(key)[0])
        at = descriptor.find("@", 1)
        name, wanted = descriptor[:at], descriptor[at + 1 :]
        if wanted.startswith("npm:"):
            name = wanted.removeprefix("npm:")
            name = name[: name.find("@", 1)] if "@" in name[1:] else name
        elif _ELSEWHERE.match(wanted):
            raise self._table.bad(key, f"{name[:100]} comes from '{wanted[:100]}'", _HINT)
        resolved = entry.text("resolved")
        digest = _SHA1.search(resolved)
        sha1 = f"sha1-{base64.b64encode(bytes.fromhex(digest[1])).decode()}" if digest else ""
        integrity = entry.text("integrity") or sha1
        if not integrity:
            raise self._table.bad(key, f"the lock has no hash of {name[:100]}", f"let yarn write it anew: {RENEW}")
        return name, resolved, integrity
