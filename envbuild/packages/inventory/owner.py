"""The package that a file of a tree belongs to, by the records that package managers keep in the tree."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from posixpath import dirname, normpath

from envbuild.debian.deb822 import stanzas
from envbuild.packages.inventory.bad_record import MAX_STATUS, Unreadable, parsed_json
from envbuild.packages.inventory.component import DPKG, NODE, PYTHON
from envbuild.packages.inventory.list_index import ListIndex
from envbuild.packages.inventory.python import recorded
from envbuild.store.objects import TooLargeToRead
from envbuild.store.store import Store
from envbuild.tree.entry import DIRECTORY, LINK, Digest
from envbuild.tree.lookup import lookup

_INFO = "var/lib/dpkg/info"
_STATUS = "var/lib/dpkg/status"


@dataclass(frozen=True, slots=True)
class Owner:
    """A package: its kind (dpkg, python, node), name and version."""

    kind: str
    name: str
    version: str


class _Tree:
    def __init__(self, store: Store, tree: Digest) -> None:
        self._store = store
        self._tree = tree

    def text(self, path: str) -> str | None:
        try:
            return self._store.read_text(self._tree, path, MAX_STATUS)
        except TooLargeToRead:
            return None

    def names(self, path: str) -> list[str]:
        entry = lookup(self._store.trees, self._tree, path.encode("utf-8", "surrogateescape"))
        if entry is None or entry.kind != DIRECTORY:
            return []
        return [child.name.decode("utf-8", "surrogateescape") for child in self._store.trees.load(entry.digest)]

    def lists(self, lines: list[str]) -> list[str]:
        """Return the names of dpkg's lists that may have one of the lines, sorted."""
        folder = lookup(self._store.trees, self._tree, _INFO.encode())
        if folder is None or folder.kind != DIRECTORY:
            return []
        encoded = (line.encode("utf-8", "surrogateescape") for line in lines)
        names = ListIndex(self._store, folder.digest).candidates(encoded)
        return sorted(name.decode("utf-8", "surrogateescape") for name in names)

    def spellings(self, path: str) -> list[str]:
        """Return a path and its names through links at the root: dpkg's lists may have /lib for /usr/lib."""
        paths = [path]
        for entry in self._store.trees.load(self._tree):
            target = entry.target.decode("utf-8", "replace").strip("/") + "/"
            if entry.kind == LINK and path.startswith(target):
                paths.append(f"{entry.name.decode('utf-8', 'replace')}/{path[len(target) :]}")
        return paths


def owner_of(store: Store, tree: Digest, path: str) -> Owner | None:
    """Return the package that `path` (without a slash before it, free of links) belongs to; None if it is no
    package's."""
    inside = _Tree(store, tree)
    return _node(inside, path) or _python(inside, path) or _debian(inside, path)


def _debian(tree: _Tree, path: str) -> Owner | None:
    wanted = [f"/{line}\n" for line in tree.spellings(path)]
    for name in tree.lists([line.rstrip("\n") for line in wanted]):
        text = tree.text(f"{_INFO}/{name}") or ""
        if any(text.startswith(line) or f"\n{line}" in text for line in wanted):
            package = name.removesuffix(".list")
            plain, _, architecture = package.partition(":")
            for fields in stanzas(tree.text(_STATUS) or ""):
                if fields.get("package") == plain and architecture in ("", fields.get("architecture")):
                    return Owner(DPKG, package, fields.get("version", ""))
    return None


def _python(tree: _Tree, path: str) -> Owner | None:
    for folder in _site_packages(tree, path):
        for name in tree.names(folder):
            if not name.endswith(".dist-info"):
                continue
            try:
                rows = recorded(tree.text(f"{folder}/{name}/RECORD") or "")
            except Unreadable:
                rows = []  # then it says of no file that it is its own; `packages` and `diff` tell
            if path.startswith(f"{folder}/{name}/") or any(
                row and normpath(f"{folder}/{row[0]}") == path for row in rows
            ):
                head = (tree.text(f"{folder}/{name}/METADATA") or "").partition("\n\n")[0]
                fields = next(stanzas(head), {})
                return Owner(PYTHON, fields.get("name", name), fields.get("version", ""))
    return None


def _site_packages(tree: _Tree, path: str) -> Iterator[str]:
    """Yield the folders of distributions that may have brought a path: those above it, and those of its environment."""
    above = dirname(path)
    while above:
        if above.endswith("-packages"):
            yield above
        if above.endswith(("/bin", "/share", "/include")):
            libraries = f"{dirname(above)}/lib"
            for name in tree.names(libraries):
                for packages in ("site-packages", "dist-packages"):
                    if name.startswith("python") and tree.names(f"{libraries}/{name}/{packages}"):
                        yield f"{libraries}/{name}/{packages}"
        above = dirname(above)


def _node(tree: _Tree, path: str) -> Owner | None:
    folder, separator, rest = path.rpartition("node_modules/")
    if not separator or rest.startswith("."):
        return None
    parts = rest.split("/")
    name = "/".join(parts[: 2 if rest.startswith("@") else 1])
    try:
        plain = parsed_json(tree.text(f"{folder}node_modules/{name}/package.json") or "")
    except Unreadable:
        return None
    return Owner(NODE, name, str(plain.get("version", ""))) if isinstance(plain, dict) else None
