"""Promised contents: files of trees that the store does not hold, as a package has them.

A light capture keeps a file that is as its package shipped it as an entry with its digest, and notes here which package
has the content, as git notes the promisor objects of a partial clone. A promise is no proof: what comes is held against
the digest. Whoever needs a content that was promised has it brought, if this process has somebody who can
(supplier.py), else gets ContentPromised.
"""

from __future__ import annotations

from _thread import RLock

from envbuild.errors import WorkFailed, fields
from envbuild.record import Record
from envbuild.store import supplier
from envbuild.store.database import Database
from envbuild.tree.entry import DIRECTORY, FILE, ROOT_NAME, Digest, Entry, decode, encode, object_id

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from typing import Protocol

    from envbuild.tree.lookup import Trees

    class Pool(Protocol):
        """The contents of files (objects.py)."""

        def has(self, entry: Entry) -> bool: ...


class Promise(Record):
    """A file that a Debian package has: its `entry` in a tree, and its path in the package's archive, without a slash
    before it."""

    entry: Entry
    package: str
    version: str
    architecture: str
    path: str


@fields
class ContentPromised(WorkFailed):
    """The content of a file is not in the store, and the package that has it can't be had."""

    path: str
    package: str
    version: str
    architecture: str
    reason: str

    def text(self) -> tuple[str, str]:
        name = f"{self.package}_{self.version.replace(':', '%3a')}_{self.architecture}.deb"
        return (
            f"a light capture left the content of {self.path} in {self.package} {self.version}, which can't be had: "
            f"{self.reason}",
            f"put {name} into /var/cache/apt/archives, then run this again",
        )


class Promised:
    """The promises of one store."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._any = False
        self._lock = RLock()

    def any(self) -> bool:
        """Tell whether there are promises; in most stores there are none."""
        self._any = self._any or self._database.row("SELECT 1 FROM promised LIMIT 1") is not None
        return self._any

    def add(self, promises: Sequence[Promise]) -> None:
        """Put promises on record."""
        self._database.write_many(
            "INSERT OR REPLACE INTO promised VALUES (?, ?, ?, ?, ?, ?)",
            [
                (
                    object_id(promise.entry),
                    encode((promise.entry,)),
                    promise.package,
                    promise.version,
                    promise.architecture,
                    promise.path.encode("utf-8", "surrogateescape"),
                )
                for promise in promises
            ],
        )

    def get(self, identity: Digest) -> Promise | None:
        """Return the promise of an object, None if there is none."""
        row = (
            self._database.row(f"SELECT {_COLUMNS} FROM promised WHERE object = ?", (identity,)) if self.any() else None
        )
        return None if row is None else _promise(row)

    def identities(self) -> set[Digest]:
        """Return the ids of all objects that were promised."""
        return {row[0] for row in self._database.rows("SELECT object FROM promised")} if self.any() else set()

    def bring(self, entry: Entry, objects: Pool) -> bool:
        """Have a content brought, with all that was promised of its package; False if nobody promised it.

        Raises ContentPromised.
        """
        promise = self.get(object_id(entry))
        if promise is None:
            return False
        rows = self._database.rows(
            f"SELECT {_COLUMNS} FROM promised WHERE package = ? AND version = ? AND architecture = ?",
            (promise.package, promise.version, promise.architecture),
        )
        self._bring([_promise(row) for row in rows], objects)
        return True

    def bring_all(self, trees: Trees, tree: Digest, objects: Pool) -> None:
        """Have all contents of a tree brought that are only promised. Raises ContentPromised."""
        missing = self.missing(trees, tree, objects)
        if missing:
            self._bring(missing, objects)

    def missing(self, trees: Trees, tree: Digest, objects: Pool) -> list[Promise]:
        """Return the promises of files of a tree that are not in the pool."""
        promised = self.identities()
        wanted: dict[Digest, None] = {}
        pending, seen = [tree] if promised else [], set()
        while pending:
            digest = pending.pop()
            if digest in seen:
                continue
            seen.add(digest)
            for entry in trees.load(digest):
                if entry.kind == DIRECTORY and entry.name != ROOT_NAME:
                    pending.append(entry.digest)
                elif entry.kind == FILE and object_id(entry) in promised and not objects.has(entry):
                    wanted[object_id(entry)] = None
        promises = (self.get(identity) for identity in wanted)
        return [promise for promise in promises if promise is not None]

    def keep(self, identities: Iterable[Digest]) -> None:
        """Forget all promises but those of these objects."""
        if self.any():
            kept = set(identities)
            gone = [(identity,) for identity in self.identities() if identity not in kept]
            self._database.write_many("DELETE FROM promised WHERE object = ?", gone)
            self._any = False

    def _bring(self, promises: Sequence[Promise], objects: Pool) -> None:
        if supplier.supplier is None:
            raise not_to_be_had(promises[0], "nothing here gets packages")
        with self._lock:
            supplier.supplier(promises, objects)


_COLUMNS = "entry, package, version, architecture, path"


def not_to_be_had(promise: Promise, reason: str) -> ContentPromised:
    """Return the error for a promise that nobody keeps."""
    return ContentPromised(f"/{promise.path}", promise.package, promise.version, promise.architecture, reason)


def _promise(row: tuple[bytes, str, str, str, bytes]) -> Promise:
    body, package, version, architecture, path = row
    (entry,) = decode(body)
    return Promise(entry, package, version, architecture, path.decode("utf-8", "surrogateescape"))
