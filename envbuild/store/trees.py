"""Tree objects in the database, with the directories that were used last kept decoded."""

from __future__ import annotations

from envbuild.store import failpoints
from envbuild.store.database import NOT_ITSELF, Database, PartDamaged
from envbuild.store.missing_objects import Lost
from envbuild.tree.entry import Digest, Entry, Mark, decode, decode_differing, digest_of, encode, marks_in
from envbuild.tree.lookup import ComparedTrees, entries_differing

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping


MAX_CACHED = 4096
MAX_VALUES = 500
"""Directories that one query asks for."""


class StoredTrees(ComparedTrees):
    """The Trees of tree.forest, kept for good."""

    def __init__(self, database: Database, lost: Lost) -> None:
        self._database = database
        self._lost = lost
        self._decoded: dict[Digest, tuple[Entry, ...]] = {}
        self.elsewhere: Callable[[Digest], tuple[Entry, ...] | None] | None = None
        """What has directories that may be read and are not kept here, such as a registry."""

    def load(self, digest: Digest) -> tuple[Entry, ...]:
        """Return the entries of a directory. Raises StoreDamaged if it isn't there, or isn't itself."""
        decoded = self._decoded.get(digest)
        if decoded is not None:
            return decoded
        if self.elsewhere is not None and not self.has(digest) and (entries := self.elsewhere(digest)) is not None:
            return entries
        body = self._body(digest)
        try:
            return self._remember(digest, decode(body))
        except ValueError as error:
            raise PartDamaged(f"directory {digest[:12]}", f"is not a directory: {error}") from error

    def differing(self, a: Digest, b: Digest) -> tuple[tuple[Entry, ...], tuple[Entry, ...]]:
        """Return the entries that only one of two directories has, of which alone is decoded what is not in memory.
        Raises StoreDamaged."""
        if self.elsewhere is not None or a in self._decoded or b in self._decoded:
            return entries_differing(self.load(a), self.load(b))
        bodies = self._body(a), self._body(b)
        try:
            return decode_differing(*bodies)
        except ValueError as error:
            raise PartDamaged(f"directory {a[:12]} or {b[:12]}", f"is not a directory: {error}") from error

    def marks(self, root: Digest) -> dict[Mark, int]:
        """Return how often each file occurs in a tree, of which no directory is decoded for it. Raises StoreDamaged."""
        counts: dict[Mark, int] = {}
        level = {root: 1}
        while level:
            deeper: dict[Digest, int] = {}
            for digest, body in self._bodies(list(level)):
                times = level[digest]
                try:
                    marks, directories = marks_in(body)
                except ValueError as error:
                    raise PartDamaged(f"directory {digest[:12]}", f"is not a directory: {error}") from error
                for mark in marks:
                    counts[mark] = counts.get(mark, 0) + times
                for directory in directories:
                    deeper[directory] = deeper.get(directory, 0) + times
            level = deeper
        return counts

    def _bodies(self, digests: list[Digest]) -> Iterator[tuple[Digest, bytes]]:
        """Yield directories with their canonical forms. Raises StoreDamaged."""
        for start in range(0, len(digests), MAX_VALUES):
            some = digests[start : start + MAX_VALUES]
            places = ",".join("?" * len(some))
            rows = dict(self._database.rows(f"SELECT digest, body FROM trees WHERE digest IN ({places})", some))
            for digest in some:
                body = rows.get(digest)
                if isinstance(body, bytes) and digest_of(body) == digest:
                    yield digest, body
                else:
                    yield digest, encode(self.load(digest))

    def _body(self, digest: Digest) -> bytes:
        """Return a directory in its canonical form. Raises StoreDamaged if it isn't there, or isn't itself."""
        row = self._database.row("SELECT body FROM trees WHERE digest = ?", (digest,))
        if row is None:
            self._lost.add(digest)
            raise PartDamaged(f"directory {digest[:12]}", "is missing")
        if not isinstance(row[0], bytes) or digest_of(row[0]) != digest:
            self._lost.add(digest)
            if not self._database.read_only:
                self._database.write("DELETE FROM trees WHERE digest = ?", (digest,))
            raise PartDamaged(f"directory {digest[:12]}", NOT_ITSELF)
        return row[0]

    def save(self, entries: Iterable[Entry]) -> Digest:
        """Keep a directory and return its digest."""
        listed = tuple(sorted(entries))
        body = encode(listed)
        digest = digest_of(body)
        if digest not in self._decoded:
            failpoints.at(failpoints.TREES)
            self._database.write("INSERT OR IGNORE INTO trees VALUES (?, ?)", (digest, body))
            self._remember(digest, listed)
        return digest

    def has(self, digest: Digest) -> bool:
        """Tell whether this directory is kept; all that lies in it is then kept too."""
        return digest in self._decoded or (
            self._database.row("SELECT 1 FROM trees WHERE digest = ?", (digest,)) is not None
        )

    def knows(self, digest: Digest) -> bool:
        """Tell whether this directory was kept or loaded lately."""
        return digest in self._decoded

    def forget(self) -> None:
        """Drop what is held in memory, after rows were removed."""
        self._decoded.clear()

    def save_all(self, directories: Mapping[Digest, tuple[Entry, ...]], bodies: Mapping[Digest, bytes]) -> None:
        """Keep several directories; all of them, if it is called in a transaction."""
        failpoints.at(failpoints.TREES)
        self._database.write_many("INSERT OR IGNORE INTO trees VALUES (?, ?)", list(bodies.items()))
        for digest, listed in directories.items():
            self._remember(digest, listed)

    def save_bodies(self, bodies: Iterable[tuple[Digest, bytes]]) -> None:
        """Keep directories by their digests and canonical forms, as they come: more than belong into memory, perhaps.
        They are kept all or none if it is called in a transaction."""
        failpoints.at(failpoints.TREES)
        self._database.write_many("INSERT OR IGNORE INTO trees VALUES (?, ?)", bodies)

    def _remember(self, digest: Digest, entries: tuple[Entry, ...]) -> tuple[Entry, ...]:
        if len(self._decoded) >= MAX_CACHED:
            # Whole: keeping an order of use would cost every look-up more than reading again costs now and then.
            self._decoded.clear()
        self._decoded[digest] = entries
        return entries


class TreeBatch:
    """Directories that are kept together, when all of them are known: one write to the disk instead of many."""

    def __init__(self, trees: StoredTrees) -> None:
        self._trees = trees
        self._directories: dict[Digest, tuple[Entry, ...]] = {}
        self._bodies: dict[Digest, bytes] = {}

    def load(self, digest: Digest) -> tuple[Entry, ...]:
        """Return the entries of a directory that is kept, or is about to be. Raises StoreDamaged."""
        return self._directories.get(digest) or self._trees.load(digest)

    def save(self, entries: Iterable[Entry]) -> Digest:
        """Take a directory; return its digest."""
        listed = tuple(sorted(entries))
        body = encode(listed)
        digest = digest_of(body)
        if not self._trees.knows(digest):
            self._directories[digest] = listed
            self._bodies[digest] = body
        return digest

    def flush(self) -> None:
        """Keep all that was taken."""
        if self._bodies:
            self._trees.save_all(self._directories, self._bodies)
            self._directories, self._bodies = {}, {}
