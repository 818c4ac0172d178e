"""The question that a statement about packages asks: all that its answer depends on, apart from the user's own sources.

`asks` is what the statement itself says: its words and files, its options, and those variables of the stage's
environment that its package manager obeys. `sees` is what the tree says that it is asked on: settings of package
managers, the interpreter, and what is installed already. Both are in the lock, which answers only the same question.
"""

from __future__ import annotations

from envbuild.digest import sha256_of
from envbuild.packages.registry import manager_of
from envbuild.plan.step import InstallPackages
from envbuild.record import Record
from envbuild.store.store import Store
from envbuild.text import json
from envbuild.tree.entry import DIRECTORY, FILE, Digest, Entry
from envbuild.tree.lookup import LinkCircle, resolve

TYPE_CHECKING = False
if TYPE_CHECKING:
    from envbuild.packages.manager import Contents

FORMAT = "envbuild packages 2"
_FORMAT_1 = "envbuild packages 1"
_SEES = "envbuild packages see 1"


class Question(Record):
    """What a statement asks. `asks` is the digest that locks have; `without_environment` is what locks of before have,
    which knew of no variables."""

    asks: str
    without_environment: str


def question_of(action: InstallPackages, contents: Contents, arch: str) -> Question:
    """Return what a statement asks on a stage of this architecture; `contents` are its files.

    Where it is installed decides nothing about which packages are meant.
    """
    options = [list(pair) for pair in action.options if pair[0] != "into"]
    files = [[path, sha256_of(content)] for path, content in contents]
    form = [action.manager, list(action.wanted), list(map(list, action.files)), files, options]
    plain = _digest([_FORMAT_1, *form])
    variables = manager_of(action.manager).variables_of(action)
    if variables is None:
        return Question(plain, plain)
    return Question(_digest([FORMAT, *form, arch, [list(pair) for pair in variables]]), plain)


def sees_of(store: Store, tree: Digest, action: InstallPackages) -> str:
    """Return the digest of what a package manager sees in a tree."""
    found = manager_of(action.manager).looks_at(action)
    inside = _Tree(store, tree)
    seen: list[object] = [[path, inside.content(path)] for path in found.paths]
    search = dict(action.environment).get("PATH", "").split(":")
    seen += [inside.program(names, search) for names in found.programs]
    seen += [[folder, inside.names(folder, ending)] for folder, ending in found.names]
    return _digest([_SEES, *seen])


class _Tree:
    def __init__(self, store: Store, tree: Digest) -> None:
        self._trees = store.trees
        self._tree = tree

    def _at(self, path: str) -> tuple[str, Entry] | None:
        try:
            found = resolve(self._trees, self._tree, path.encode("utf-8", "surrogateescape"))
        except LinkCircle:
            return None
        return None if found is None else (found[0].decode("utf-8", "surrogateescape"), found[1])

    def _children(self, path: str) -> tuple[Entry, ...]:
        found = self._at(path)
        return self._trees.load(found[1].digest) if found is not None and found[1].kind == DIRECTORY else ()

    def content(self, path: str) -> object:
        """Return what tells a file's content from others, or that of the files right inside a directory."""
        found = self._at(path)
        if found is None:
            return None
        entry = found[1]
        if entry.kind != DIRECTORY:
            return entry.digest
        files = [(child.name, self._at(f"{path}/{_text(child.name)}")) for child in self._trees.load(entry.digest)]
        return [[_text(name), at[1].digest] for name, at in files if at is not None and at[1].kind == FILE]

    def program(self, names: tuple[str, ...], search: list[str]) -> object:
        """Return the true path and content of the first of these programs that a shell would find."""
        for name in names:
            for folder in search:
                found = self._at(f"{folder}/{name}")
                if found is not None and found[1].kind == FILE:
                    return [found[0], found[1].digest]
        return None

    def names(self, folder: str, ending: str) -> list[str]:
        """Return the names in a directory that end so. A `*` in its path stands for any one name."""
        head, star, rest = folder.partition("/*")
        if star:
            inner = sorted(_text(entry.name) for entry in self._children(head))
            return [name for one in inner for name in self.names(f"{head}/{one}{rest}", ending)]
        return [name for entry in self._children(folder) if (name := _text(entry.name)).endswith(ending)]


def _text(name: bytes) -> str:
    return name.decode("utf-8", "surrogateescape")


def _digest(form: object) -> str:
    return sha256_of(json.dumps(form, separators=(",", ":")).encode("utf-8", "surrogateescape"))
