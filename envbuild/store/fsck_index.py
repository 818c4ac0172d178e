"""What fsck knows while it reads the store: which files the trees name, which directories hold what, and which inodes
the pool has. It lies in a temporary database, as a store has more files than should be held in memory."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator, Sequence

from envbuild.record import Record
from envbuild.tree.entry import DIRECTORY, FILE, ROOT_NAME, Digest, Entry, object_id

_TABLES = """
PRAGMA journal_mode = OFF;
PRAGMA synchronous = OFF;
CREATE TABLE files (identity TEXT PRIMARY KEY, digest, mode, mtime, uid, gid, name) WITHOUT ROWID;
CREATE TABLE holders (identity, tree);
CREATE TABLE parents (child, parent);
CREATE TABLE inodes (device, inode, identity, PRIMARY KEY (device, inode)) WITHOUT ROWID;
"""
_INDEXES = """
CREATE INDEX holders_of ON holders (identity);
CREATE INDEX parents_of ON parents (child);
"""


class ExpectedFile(Record):
    """What the trees say of an object; `mtime` in nanoseconds since 1970."""

    digest: Digest
    mode: int
    mtime: int
    uid: int
    gid: int


class FsckIndex:
    """Use it as a context manager: the database is gone at the end."""

    def __init__(self) -> None:
        # The empty name is a temporary file that SQLite removes, with two megabytes of it in memory.
        self._database = sqlite3.connect("", isolation_level=None)
        self._database.executescript(_TABLES)
        self._database.execute("BEGIN")

    def __enter__(self) -> FsckIndex:
        return self

    def __exit__(self, *_: object) -> None:
        self._database.close()

    def add_tree(self, tree: Digest, entries: Sequence[Entry]) -> None:
        """Take what one directory holds."""
        files = [(object_id(entry), entry) for entry in entries if entry.kind == FILE]
        self._database.executemany(
            "INSERT OR IGNORE INTO files VALUES (?, ?, ?, ?, ?, ?, ?)",
            [
                (identity, entry.digest, entry.mode, entry.mtime, entry.uid, entry.gid, entry.name)
                for identity, entry in files
            ],
        )
        self._database.executemany("INSERT INTO holders VALUES (?, ?)", [(identity, tree) for identity, _ in files])
        self._database.executemany(
            "INSERT INTO parents VALUES (?, ?)",
            [(entry.digest, tree) for entry in entries if entry.kind == DIRECTORY and entry.name != ROOT_NAME],
        )

    def all_trees_added(self) -> None:
        """Make the indexes that questions need."""
        self._database.executescript(_INDEXES)
        self._database.execute("BEGIN")

    def add_inode(self, device: int, inode: int, identity: Digest) -> None:
        """Take a file that the pool has."""
        self._database.execute("INSERT OR REPLACE INTO inodes VALUES (?, ?, ?)", (device, inode, identity))

    def expected(self, identity: Digest) -> ExpectedFile | None:
        """Return what the trees say of an object; None if none of them names it."""
        row = self._database.execute(
            "SELECT digest, mode, mtime, uid, gid FROM files WHERE identity = ?", (identity,)
        ).fetchone()
        return None if row is None else ExpectedFile(*row)

    def missing(self) -> Iterator[tuple[Digest, bytes]]:
        """Yield the id and a name of each file that trees name and the pool doesn't have."""
        yield from self._database.execute(
            "SELECT identity, name FROM files WHERE identity NOT IN (SELECT identity FROM inodes) ORDER BY identity"
        )

    def holders(self, identity: Digest) -> list[Digest]:
        """Return the directories that hold an object."""
        return [row[0] for row in self._database.execute("SELECT tree FROM holders WHERE identity = ?", (identity,))]

    def parents(self, tree: Digest) -> list[Digest]:
        """Return the directories that a directory lies in."""
        return [row[0] for row in self._database.execute("SELECT parent FROM parents WHERE child = ?", (tree,))]

    def identity_of(self, device: int, inode: int) -> Digest | None:
        """Return the object that an inode of the pool is; None if it isn't in the pool."""
        row = self._database.execute(
            "SELECT identity FROM inodes WHERE device = ? AND inode = ?", (device, inode)
        ).fetchone()
        return None if row is None else str(row[0])
