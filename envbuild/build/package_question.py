"""The question that a statement about packages asks: all that its answer depends on, apart from the user's own sources.

What the statement itself says is its words and the lines of its requirement files, each for itself, and `asks`: its
options, its other files, and those variables of the stage's environment that its package manager obeys. What the tree
says that it is asked on is the *sight*: settings of package managers and the interpreter, and apart from these what is
installed already. All of it is in the lock, which answers only the same question.
"""

from __future__ import annotations

from envbuild.digest import sha256_of
from envbuild.lockfile.lock import Package
from envbuild.lockfile.results import Sight
from envbuild.packages.manager import IN_PROJECT
from envbuild.packages.registry import manager_of
from envbuild.plan.step import InstallPackages
from envbuild.record import Record, values
from envbuild.store.store import Store
from envbuild.text import json
from envbuild.tree.entry import DIRECTORY, FILE, Digest, Entry
from envbuild.tree.lookup import LinkCircle, resolve

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable

    from envbuild.packages.manager import Contents, Seen

FORMAT = "envbuild packages 3"
_FORMAT_1 = "envbuild packages 1"
_FORMAT_2 = "envbuild packages 2"
_SEES = "envbuild packages see 1"
_LINES = (".txt", ".in")
"""How the names of files end in which each line says for itself what is wanted, and their order says nothing."""


class Question(Record):
    """What a statement asks: the digest `asks`, and what it `wants` beside that, sorted. `whole` is the digest that
    locks of version 2 have, of all of it, and `without_environment` what some of them have, which knew of no
    variables. `sources` are addresses that the statement itself names as places of packages, without passwords."""

    manager: str
    asks: str
    wants: tuple[str, ...]
    whole: str
    without_environment: str
    sources: tuple[str, ...] = ()


def question_of(action: InstallPackages, contents: Contents, arch: str) -> Question:
    """Return what a statement asks on a stage of this architecture; `contents` are its files.

    Where it is installed decides nothing about which packages are meant.
    """
    options = [list(pair) for pair in action.options if pair[0] != "into"]
    contents = tuple(file for file in contents if not file[0].startswith(IN_PROJECT))
    files = [[path, sha256_of(content)] for path, content in contents]
    named = list(map(list, action.files))
    form = [action.manager, list(action.wanted), named, files, options]
    plain = _digest([_FORMAT_1, *form])
    variables = manager_of(action.manager).variables_of(action)
    own = [] if variables is None else [arch, [list(pair) for pair in variables]]
    lines = [f"{path}: {line}" for path, content in contents if path.endswith(_LINES) for line in _lines(content)]
    rest = [[path, digest] for path, digest in files if not path.endswith(_LINES)]
    return Question(
        action.manager,
        _digest([FORMAT, action.manager, named, [path for path, _ in files], rest, options, *own]),
        tuple(sorted({*action.wanted, *lines})),
        plain if variables is None else _digest([_FORMAT_2, *form, *own]),
        plain,
        _sources(action.option("source")),
    )


def _sources(text: str | None) -> tuple[str, ...]:
    if not text:
        return ()
    from envbuild.http.addresses import addresses_in, without_user  # few statements have sources of their own

    return tuple(sorted({without_user(address) for address in addresses_in([text])}))


def _lines(content: bytes) -> list[str]:
    """Return what a requirement file says, without remarks; a line that goes on is one."""
    text = content.decode("utf-8", "backslashreplace").replace("\r\n", "\n").replace("\\\n", " ")
    lines = (" ".join(line.split()) for line in text.split("\n"))
    return [line for line in lines if line and not line.startswith("#")]


def answer_digest(question: Question, packages: tuple[Package, ...]) -> str:
    """Return the digest of an answer: of a question, and of the packages that it came to."""
    listed = [list(values(package)) for package in packages]
    return _digest([question.manager, question.asks, list(question.wants), listed])


def after_digest(base: str, answers: Iterable[str]) -> str:
    """Return the digest of the answers that came before another one, on a base."""
    return _digest([base, *answers])


def sight_of(store: Store, tree: Digest, action: InstallPackages, after: str) -> Sight:
    """Return what a package manager sees in a tree, to which the answers with the digest `after` led."""
    looked_at = manager_of(action.manager).looks_at(action)
    settings, _, installed = _seen(store, tree, action, looked_at)
    return Sight(_digest([_SEES, *settings]), after, _digest([_SEES, *installed]))


def earlier_sees_of(store: Store, tree: Digest, action: InstallPackages) -> str:
    """Return the digest of what a package manager sees in a tree, as locks of version 2 have it."""
    return _digest([_SEES, *_seen(store, tree, action, manager_of(action.manager).looks_at(action))[1]])


def _seen(
    store: Store, tree: Digest, action: InstallPackages, looked_at: Seen
) -> tuple[list[object], list[object], list[object]]:
    """Return what is seen of settings, of all, and of what is installed."""
    inside = _Tree(store, tree)
    files = [[path, inside.content(path)] for path in looked_at.paths]
    search = dict(action.environment).get("PATH", "").split(":")
    programs = [inside.program(names, search) for names in looked_at.programs]
    names = [[folder, inside.names(folder, ending)] for folder, ending in looked_at.names]
    settings = [file for file in files if file[0] not in looked_at.changing]
    installed = [file for file in files if file[0] in looked_at.changing]
    return [*settings, *programs], [*files, *programs, *names], [*installed, *names]


class _Tree:
    def __init__(self, store: Store, tree: Digest) -> None:
        self._trees = store.trees
        self._tree = tree

    def _at(self, path: str) -> tuple[str, Entry] | None:
        try:
            place = resolve(self._trees, self._tree, path.encode("utf-8", "surrogateescape"))
        except LinkCircle:
            return None
        return None if place is None else (place[0].decode("utf-8", "surrogateescape"), place[1])

    def _children(self, path: str) -> tuple[Entry, ...]:
        place = self._at(path)
        return self._trees.load(place[1].digest) if place is not None and place[1].kind == DIRECTORY else ()

    def content(self, path: str) -> object:
        """Return what tells a file's content from others, or that of the files right inside a directory."""
        place = self._at(path)
        if place is None:
            return None
        entry = place[1]
        if entry.kind != DIRECTORY:
            return entry.digest
        files = [(child.name, self._at(f"{path}/{_text(child.name)}")) for child in self._trees.load(entry.digest)]
        return [[_text(name), at[1].digest] for name, at in files if at is not None and at[1].kind == FILE]

    def program(self, names: tuple[str, ...], search: list[str]) -> object:
        """Return the true path and content of the first of these programs that a shell would find."""
        for name in names:
            for folder in search:
                place = self._at(f"{folder}/{name}")
                if place is not None and place[1].kind == FILE:
                    return [place[0], place[1].digest]
        return None

    def names(self, folder: str, ending: str) -> list[str]:
        """Return the names in a directory that end so. A `*` in its path stands for any one name."""
        head, star, rest = folder.partition("/*")
        if star:
            inner = sorted(_text(entry.name) for entry in self._children(head))
            return [name for child in inner for name in self.names(f"{head}/{child}{rest}", ending)]
        return [name for entry in self._children(folder) if (name := _text(entry.name)).endswith(ending)]


def _text(name: bytes) -> str:
    return name.decode("utf-8", "surrogateescape")


def _digest(form: object) -> str:
    return sha256_of(json.dumps(form, separators=(",", ":")).encode("utf-8", "surrogateescape"))
