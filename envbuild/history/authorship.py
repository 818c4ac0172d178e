"""The author of what a statement made: of the newest commit that touched its lines, a file that it takes, or the value
of a parameter that it uses."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Iterator
from typing import Any

from envbuild.errors import EnvbuildError
from envbuild.git.content_ids import content_id
from envbuild.git.repository import Author, NotInRevision, Repository
from envbuild.history.build_commits import BuildCommits, build_of
from envbuild.history.restore import is_named
from envbuild.language.parse import parse_all
from envbuild.language.quoting import reference_names
from envbuild.language.syntax import StatementSyntax, Word, WordLine
from envbuild.lockfile.lock import path_of
from envbuild.record import Record
from envbuild.store.store import Store
from envbuild.tree.entry import DIRECTORY, FILE, Digest, Entry
from envbuild.tree.lookup import walk

_NAME = re.compile(r"\$\{?([A-Za-z_][A-Za-z0-9_]*)")
_RENDERED = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_MAX_TEMPLATE = 1 << 20
_CHUNK = 1 << 20
_MAX_PICKAXE = 8_000
"""Characters of a statement that are looked for."""
_MAX_COMMITS = 40
"""Commits of the recipe that are looked at for the statement as it was built."""
STATEMENT = "the statement"
THE_LOCK = "the lock"


class Credit(Record):
    """A text that made a path what it is: `what` is the statement, or names a file or a parameter. `author` is that of
    its last change; None if it is `uncommitted`, if it was `set` on the command line of the build, or if the change is
    older than a `shallow` clone reaches."""

    what: str
    author: Author | None = None
    uncommitted: bool = False
    set: bool = False
    shallow: bool = False


class Made(Record):
    """A statement as an image has it on record: its text and place, what it `takes` of the folder, and the `path` that
    it made, with its entry (None if it removed that)."""

    image: Digest
    text: str
    file: str
    line: int
    kind: str
    takes: tuple[str, ...]
    path: bytes
    entry: Entry | None


def credit(store: Store, made: Made) -> Credit | None:
    """Return the newest of the texts that made a path what it is; None if git knows nothing of the build."""
    build = build_of(store, made.image)
    image = store.images.get(made.image)
    if build is None or image is None:
        return None
    detail = image.known
    with BuildCommits() as commits:
        commit, committed = commits.of(build)
        repository = commits.repository(str(build.known.get("root", "")))
        if repository is None:
            return None
        if not commit:
            return Credit(STATEMENT, uncommitted=True)
        file = str(build.known["file"])
        first: list[Credit] | None = None
        try:
            # The image may have come out of other statements again since, and these may have been committed later.
            for candidate in dict.fromkeys((commit, *repository.commits_of(file, _MAX_COMMITS))):
                credits = list(_Search(store, repository, candidate, file, detail).credits(made))
                if not any(statement_credit.uncommitted for statement_credit in credits):
                    return newest(credits, repository)
                first = credits if first is None else first
        except (EnvbuildError, OSError):
            if first is None:
                return None if committed else Credit(STATEMENT, uncommitted=True)
    return newest(first or ())


def lock_credit(store: Store, image: Digest, lock: str, line: str) -> Credit | None:
    """Return the last change of a line of the lock of this name that the build of an image wrote: in the first commit
    that has the image in it. None if git knows nothing of the build."""
    build = build_of(store, image, lock)
    if build is None:
        return None
    with BuildCommits() as commits:
        repository = commits.repository(str(build.known.get("root", "")))
        if repository is None:
            return None
        path = path_of(str(build.known["file"]))
        try:
            commit = commits.of_lock(build)
            if not commit:
                return Credit(THE_LOCK, uncommitted=True)
            lines = repository.read(commit, path).decode("utf-8", "replace").split("\n")
            number = lines.index(line) + 1 if line in lines else 0
            authors = repository.blame(commit, path, number, number) if number else []
        except (EnvbuildError, OSError):
            return None
        shallow = repository.shallow_commits()
    return newest(Credit(THE_LOCK, author, shallow=author.commit in shallow) for author in authors)


def remover(store: Store, image: Digest, made: Made) -> Author | None:
    """Return the author of the last commit up to that of an image that took a statement out of its recipe, or a file
    away that the statement made the path from; None if git does not know one."""
    build, old = build_of(store, image), store.images.get(made.image)
    if build is None or old is None:
        return None
    with BuildCommits() as commits:
        commit, committed = commits.of(build)
        repository = commits.repository(str(build.known.get("root", "")))
        if repository is None or not commit or not committed:
            return None
        try:
            search = _Search(store, repository, commit, str(build.known["file"]), old.known)
            return search.remover(made)
        except (EnvbuildError, OSError):
            return None


def newest(credits: Iterable[Credit], repository: Repository | None = None) -> Credit | None:
    """Return the credit of the last change: what is in no commit yet is newer than what is, and what lies beyond the
    edge of a shallow clone is at most as new as that edge. Of commits of one second, such as a rebase makes, the one
    that stands on the other in `repository` is the newer one."""

    def order(credit: Credit) -> tuple[bool, bool, int]:
        return credit.uncommitted, credit.set, credit.author.committed if credit.author is not None else 0

    known = list(credits)
    last = max(known, key=order, default=None)
    if last is not None and repository is not None:
        for other in known:
            if order(other) == order(last) and _stands_on(repository, other, last):
                last = other
    return last.replace(author=None) if last is not None and last.shallow else last


def _stands_on(repository: Repository, credit: Credit, other: Credit) -> bool:
    if credit.author is None or other.author is None or credit.author.commit == other.author.commit:
        return False
    below = other.author.commit
    return repository.merge_base(below, credit.author.commit) == below


class _Search:
    """The search in one commit. `recipe` is the recipe's path in the repository."""

    def __init__(self, store: Store, repository: Repository, commit: str, recipe: str, detail: dict[str, Any]) -> None:
        self._store = store
        self._repository = repository
        self._commit = commit
        self._recipe = recipe
        self._detail = detail
        self._shallow = repository.shallow_commits()
        sources = detail.get("sources", {})
        inner = str(sources.get("recipe", ""))
        fits = bool(inner) and f"/{recipe}".endswith(f"/{inner}")
        self._prefix = recipe[: len(recipe) - len(inner)] if fits else ""
        self._sources: dict[str, Any] = sources if fits else {}

    def credits(self, made: Made) -> Iterator[Credit]:
        path = self._path_of(made.file)
        yield from self._lines(path, made.line, made.text.strip("\n").splitlines(), STATEMENT)
        for file in self._files(made):
            yield self._file(file)
        yield from self._parameters(made)

    def remover(self, made: Made) -> Author | None:
        """Return the author of the commit after which there is the statement, or the file that it copies, no more."""
        tracked = {str(file.path) for file in self._repository.tracked(self._commit)}
        for path in self._files(made) if made.kind == "CopyIn" else ():
            if path not in tracked:
                return self._repository.last_change(self._commit, path)
        path, text = self._path_of(made.file), made.text.strip("\n")[:_MAX_PICKAXE]
        if path not in tracked:
            return self._repository.last_change(self._commit, path)
        if text not in self._repository.read(self._commit, path).decode("utf-8", "replace"):
            return self._repository.last_change(self._commit, path, text)
        return None

    def _path_of(self, file: str) -> str:
        """Return the path in the repository of a file as the build named it."""
        inner = os.path.relpath(file, os.path.dirname(str(self._detail.get("path", ""))) or ".")
        return os.path.normpath(os.path.join(os.path.dirname(self._recipe), inner))

    def _lines(self, path: str, first: int, texts: list[str], what: str) -> Iterator[Credit]:
        """Yield the credits of lines of a file, which have to be these in the commit."""
        lines = self._repository.read(self._commit, path).decode("utf-8", "replace").splitlines()
        there = lines[first - 1 : first - 1 + len(texts)]
        if [line.strip() for line in there] != [text.strip() for text in texts]:
            yield Credit(what, uncommitted=True)
            return
        for author in self._repository.blame(self._commit, path, first, first + len(texts) - 1):
            yield self._credit(what, author)

    def _credit(self, what: str, author: Author) -> Credit:
        return Credit(what, author, shallow=author.commit in self._shallow)

    def _file(self, path: str) -> Credit:
        what = f"the file {path}"
        author = self._repository.last_change(self._commit, path)
        kept = self._kept(path)
        if author is None or (kept is not None and self._changed(path, kept)):
            return Credit(what, uncommitted=True)
        return self._credit(what, author)

    def _changed(self, path: str, kept: Entry) -> bool:
        """Return whether a file was built with another content than the commit has."""
        if kept.kind != FILE or self._repository.converted([path]):
            return False
        try:
            content = self._repository.read(self._commit, path)
        except NotInRevision:
            return True
        with open(self._store.objects.open(kept), "rb") as file:
            chunks = iter(lambda: file.read(_CHUNK), b"")
            return content_id(kept.size, chunks, "") != content_id(len(content), [content], "")

    def _kept(self, path: str) -> Entry | None:
        return self._kept_files().get(path.removeprefix(self._prefix))

    def _kept_files(self) -> dict[str, Entry]:
        """Return the files that the build read, by their paths among what is kept of them."""
        tree = self._sources.get("tree", "")
        if not self._store.trees.has(tree):
            return {}
        return {os.fsdecode(path): entry for path, entry in walk(self._store.trees, tree) if entry.kind != DIRECTORY}

    def _files(self, made: Made) -> Iterator[str]:
        """Yield the paths of the files that made the entry: of a copied folder the one that became it."""
        takes = [self._path_of(path) for path in made.takes]
        if made.kind != "CopyIn":
            yield from takes
            return
        entry = made.entry
        if entry is None or entry.kind == DIRECTORY:
            return
        wanted = os.fsdecode(made.path).split("/")
        best, most = "", 0
        for inner, kept in self._kept_files().items():
            if (kept.kind, kept.digest, kept.target) != (entry.kind, entry.digest, entry.target):
                continue
            path = self._prefix + inner
            if takes and not is_named(path, takes):
                continue
            common = 1
            for ours, theirs in zip(reversed(wanted), reversed(path.split("/")), strict=False):
                if ours != theirs:
                    break
                common += 1
            if common > most:
                best, most = path, common
        if best:
            yield best

    def _parameters(self, made: Made) -> Iterator[Credit]:
        known: dict[str, str] = self._detail.get("parameters", {})
        names = set(_NAME.findall(made.text))
        if made.kind == "Render":
            for path in made.takes:
                kept = self._kept(self._path_of(path))
                if kept is not None and kept.kind == FILE and kept.size <= _MAX_TEMPLATE:
                    names.update(_RENDERED.findall(self._store.objects.read(kept).decode("utf-8", "replace")))
        pending, seen = sorted(names & known.keys()), set[str]()
        if not pending:
            return
        syntax = list(self._syntax())
        while pending:
            name = pending.pop()
            if name in seen:
                continue
            seen.add(name)
            what = f"the parameter {name}"
            if name in self._sources.get("settings", {}):
                yield Credit(what, set=True)
                continue
            for path, statement in syntax:
                for first, texts, value in _values_of(statement, name):
                    yield from self._lines(path, first, texts, what)
                    pending += sorted(set(value) & known.keys())

    def _syntax(self) -> Iterator[tuple[str, StatementSyntax]]:
        """Yield the statements of the recipe and of what it includes, as the commit has them."""
        inner = self._sources.get("files")
        for path in [self._prefix + str(name) for name in inner] if inner else [self._recipe]:
            tree, _ = parse_all(self._repository.read(self._commit, path), path)
            yield from ((path, item) for item in tree.items if isinstance(item, StatementSyntax))


def _values_of(statement: StatementSyntax, name: str) -> Iterator[tuple[int, list[str], list[str]]]:
    """Yield (first line, lines, parameters in it) of each value that a statement gives a parameter."""
    if statement.keyword == "param" and statement.words and statement.words[0].literal() == name:
        value = statement.words[1] if len(statement.words) > 1 else None
        yield statement.span.line, statement.source.strip("\n").splitlines(), _references(value)
    elif statement.keyword == "include":
        block = [word for line in statement.block if isinstance(line, WordLine) for word in line.words]
        for word in (*statement.words[1:], *block):
            first = word.parts[0] if word.parts else ""
            if isinstance(first, str) and first.startswith(f"{name}="):
                line = statement.source.splitlines()[word.span.line - statement.span.line]
                yield word.span.line, [line], _references(word)


def _references(word: Word | None) -> list[str]:
    return list(reference_names(word.parts)) if word is not None else []
