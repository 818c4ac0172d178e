"""The database of a store: one connection, its schema, and transactions; and the lock of the store.

Write-ahead logging with `synchronous=NORMAL`: a commit waits for no disk, so that a step costs none. After a loss
of power the database is consistent and may lack the last commits; a tag moves only after a checkpoint and a
`syncfs` (see images.py), so what a tag names is on disk.
"""

from __future__ import annotations

import fcntl
import os
from _thread import RLock

from envbuild.contexts import contextmanager
from envbuild.errors import EnvbuildError, MachineLacks, UsageError, fields
from envbuild.store.owner import refuse_others
from envbuild.store.sqlite import sqlite3

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence
    from typing import Any

FORMAT = 8
"""Kept in the database as `user_version`. A store of a higher format is refused."""

OUT_OF_SPACE = ("full", "I/O", "locked", "unable to open")
"""What SQLite's messages say when the disk, and not the statement, is at fault (sqlite.org/rescode.html)."""

NOT_OURS = ("Could not decode", "no such table", "no such column", "has no column", "malformed")
"""What they say of a database that was damaged, or that something else wrote: our statements fit our schema."""

FILE = "store.db"
LOCK_FILE = "lock"
"""Held shared by all who use the store, exclusively by whoever removes or repairs."""
NOT_ITSELF = "is not what its digest says"
_UNREADABLE = "its schema can't be read"
REPAIR = "envbuild fsck --repair saves what can be read of it; build again then"

_SCHEMA = """
CREATE TABLE trees (digest TEXT PRIMARY KEY, body BLOB NOT NULL);
CREATE TABLE stacks (
    tree TEXT PRIMARY KEY, below TEXT, layer TEXT NOT NULL, depth INTEGER NOT NULL,
    checked INTEGER NOT NULL DEFAULT 0, boot TEXT NOT NULL DEFAULT '', synced INTEGER NOT NULL DEFAULT 0
) WITHOUT ROWID;
CREATE TABLE steps (
    key TEXT PRIMARY KEY, tree TEXT NOT NULL, output TEXT NOT NULL, seconds REAL NOT NULL,
    owners_kept INTEGER NOT NULL, text TEXT NOT NULL, made REAL NOT NULL, used REAL NOT NULL DEFAULT 0
) WITHOUT ROWID;
CREATE TABLE sources (
    recipe TEXT, stage TEXT, text TEXT, number INTEGER, key TEXT NOT NULL, parts TEXT NOT NULL, made REAL NOT NULL,
    PRIMARY KEY (recipe, stage, text, number)
) WITHOUT ROWID;
CREATE INDEX sources_by_text ON sources (text, made);
CREATE TABLE images (
    digest TEXT PRIMARY KEY, tree TEXT NOT NULL, facts TEXT NOT NULL, detail TEXT NOT NULL, made REAL NOT NULL
) WITHOUT ROWID;
CREATE TABLE tags (
    name TEXT, tag TEXT, image TEXT NOT NULL, moved REAL NOT NULL, immutable INTEGER NOT NULL DEFAULT 0,
    PRIMARY KEY (name, tag)
) WITHOUT ROWID;
CREATE TABLE history (
    number INTEGER PRIMARY KEY, name TEXT NOT NULL, tag TEXT NOT NULL, image TEXT, moved REAL NOT NULL,
    reason TEXT NOT NULL, detail TEXT NOT NULL DEFAULT '{}'
);
CREATE INDEX history_by_tag ON history (name, tag, number);
CREATE INDEX history_by_image ON history (image, number);
CREATE TABLE projects (id TEXT PRIMARY KEY, path BLOB NOT NULL) WITHOUT ROWID;
CREATE TABLE failures (
    recipe TEXT PRIMARY KEY, tree TEXT NOT NULL, facts TEXT NOT NULL, detail TEXT NOT NULL, made REAL NOT NULL
) WITHOUT ROWID;
CREATE TABLE locks (path TEXT PRIMARY KEY, keys TEXT NOT NULL, trees TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE memo (kind TEXT, key TEXT, value BLOB NOT NULL, PRIMARY KEY (kind, key));
CREATE TABLE stats (directory BLOB PRIMARY KEY, rows BLOB NOT NULL);
CREATE TABLE network (key TEXT, tree TEXT, record TEXT NOT NULL, PRIMARY KEY (key, tree)) WITHOUT ROWID;
CREATE TABLE runs (
    statement TEXT, parent TEXT, result TEXT NOT NULL, output TEXT NOT NULL, seconds REAL NOT NULL,
    owners_kept INTEGER NOT NULL, touched BLOB NOT NULL, reads BLOB NOT NULL, made REAL NOT NULL,
    PRIMARY KEY (statement, parent)
);
CREATE TABLE distrusted (command TEXT PRIMARY KEY, reason TEXT NOT NULL, made REAL NOT NULL) WITHOUT ROWID;
CREATE TABLE promised (
    object TEXT PRIMARY KEY, entry BLOB NOT NULL, package TEXT NOT NULL, version TEXT NOT NULL,
    architecture TEXT NOT NULL, path BLOB NOT NULL
) WITHOUT ROWID;
CREATE INDEX promised_by_package ON promised (package, version, architecture);
"""

_CHANGES = {
    2: (
        *(statement for statement in _SCHEMA.split(";") if " sources" in statement),
        # Format 1 kept these under the keys of steps that ran with all ids.
        "DELETE FROM steps WHERE NOT owners_kept",
        "ALTER TABLE stacks ADD COLUMN checked INTEGER NOT NULL DEFAULT 0",
        "ALTER TABLE stacks ADD COLUMN boot TEXT NOT NULL DEFAULT ''",
        "ALTER TABLE stacks ADD COLUMN synced INTEGER NOT NULL DEFAULT 0",
    ),
    3: (
        "ALTER TABLE tags ADD COLUMN immutable INTEGER NOT NULL DEFAULT 0",
        "ALTER TABLE history ADD COLUMN detail TEXT NOT NULL DEFAULT '{}'",
        "CREATE INDEX history_by_tag ON history (name, tag, number)",
        "CREATE INDEX history_by_image ON history (image, number)",
        "ALTER TABLE steps ADD COLUMN used REAL NOT NULL DEFAULT 0",
    ),
    4: (),  # tags of branches have a form of their own: branch_tags.py
    # Names belong to projects: tags_of_projects.py.
    5: ("CREATE TABLE projects (id TEXT PRIMARY KEY, path BLOB NOT NULL) WITHOUT ROWID",),
    6: tuple(
        statement.replace("TABLE", "TABLE IF NOT EXISTS")
        for statement in _SCHEMA.split(";")
        if " network " in statement
    ),
    7: tuple(
        statement.replace("TABLE", "TABLE IF NOT EXISTS")
        for statement in _SCHEMA.split(";")
        if "TABLE runs " in statement or "TABLE distrusted " in statement
    ),
    8: tuple(
        statement.replace("TABLE", "TABLE IF NOT EXISTS").replace("INDEX", "INDEX IF NOT EXISTS")
        for statement in _SCHEMA.split(";")
        if " promised" in statement
    ),
}
"""What each format brought beside the one before: a store of an earlier one gets it when it is opened."""


@fields
class StoreTooNew(UsageError):
    """The store was written by a later envbuild."""

    path: str
    format: int

    def text(self) -> tuple[str, str]:
        return (
            f"the store {self.path} has format {self.format}; this envbuild knows formats up to {FORMAT}",
            "use the envbuild that wrote it, or another store: ENVBUILD_STORE=DIR",
        )


@fields
class StoreInUse(UsageError):
    """The store is needed exclusively, and somebody else uses it."""

    def text(self) -> tuple[str, str]:
        return "a build or an instance is using the store", "wait for it to end, then run this again"


@fields
class StoreUnusable(MachineLacks):
    """The store can't be opened or written."""

    path: str
    reason: str

    def text(self) -> tuple[str, str]:
        return (
            f"the store {self.path} can't be used: {self.reason}",
            "choose another place for it with ENVBUILD_STORE=DIR, or mend its owner: `ls -ld` shows it",
        )


@fields
class StoreFull(MachineLacks):
    """The disk that the store lies on is full, or refuses to be written."""

    path: str
    reason: str

    def text(self) -> tuple[str, str]:
        return (
            f"the store {self.path} can't take more: {self.reason}",
            "free some space on its disk (envbuild gc), then run the same command again: what had finished is kept",
        )


class StoreDamaged(EnvbuildError):
    """The store is not as envbuild left it."""

    exit_code = 1


@fields
class PartDamaged(StoreDamaged):
    """A part of the store is not what its digest says. It was put aside already, unless `mend` says another way."""

    part: str
    fault: str
    mend: str = "it was put aside; build the recipe again: only what made it runs"

    def text(self) -> tuple[str, str]:
        return f"the store is damaged: {self.part} {self.fault}", self.mend


@fields
class DatabaseDamaged(StoreDamaged):
    """SQLite can't read the database."""

    file: str
    reason: str

    def text(self) -> tuple[str, str]:
        return f"the store is damaged: {self.file}: {self.reason}", REPAIR


class Database:
    """The connection of one process. Safe to use from several threads, never across a fork."""

    def __init__(self, path: str, *, create: bool, writable: bool | None = None) -> None:
        """Open the database; the arguments are those of Store.open."""
        self.path = path
        self._lock = RLock()
        self._depth = 0
        self.read_only = False
        self._connection = self._connect(path, create, writable)

    def rows(self, statement: str, values: Sequence[Any] = ()) -> list[tuple[Any, ...]]:
        """Return all rows that a query gives."""
        with self._lock, self._told_apart():
            return self._connection.execute(statement, values).fetchall()

    def row(self, statement: str, values: Sequence[Any] = ()) -> tuple[Any, ...] | None:
        """Return the first row that a query gives."""
        with self._lock, self._told_apart():
            row: tuple[Any, ...] | None = self._connection.execute(statement, values).fetchone()
            return row

    def write(self, statement: str, values: Sequence[Any] = ()) -> int:
        """Run one statement that changes something; return how many rows it changed."""
        with self._lock, self._told_apart():
            return self._connection.execute(statement, values).rowcount

    def write_many(self, statement: str, rows: Iterable[Sequence[Any]]) -> None:
        """Run one statement for each row, all or none of them."""
        with self.transaction():
            self._connection.executemany(statement, rows)

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """Make all writes inside visible together, or none of them."""
        with self._lock, self._told_apart():
            if self._depth == 0:
                self._connection.execute("BEGIN IMMEDIATE")
            self._depth += 1
            try:
                yield
            except BaseException:
                self._depth -= 1
                # When the disk is full or fails, SQLite has rolled back by itself (sqlite.org/lang_transaction.html).
                if self._depth == 0 and self._connection.in_transaction:
                    self._connection.execute("ROLLBACK")
                raise
            self._depth -= 1
            if self._depth == 0:
                self._connection.execute("COMMIT")

    def checkpoint(self) -> None:
        """Write all commits so far into the database file, synchronously."""
        with self._lock, self._told_apart():
            self._connection.execute("PRAGMA wal_checkpoint(PASSIVE)").fetchall()

    def close(self) -> None:
        self._connection.close()

    def _connect(self, path: str, create: bool, writable: bool | None) -> sqlite3.Connection:
        refuse_others(path)
        file = os.path.join(path, FILE)
        exists = os.path.exists(file)
        if not exists and not create:
            raise StoreUnusable(path, "there is none yet; `envbuild build` makes it")
        try:
            if not exists:
                os.makedirs(os.path.dirname(path) or ".", exist_ok=True)
                os.makedirs(path, mode=0o700, exist_ok=True)
                # SQLite would let the umask decide; the files beside it get the mode of this one.
                os.close(os.open(file, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600))
            self.read_only = not (os.access(path, os.W_OK) if writable is None else writable)
            if exists and os.path.getsize(file) == 0 and os.path.isdir(f"{path}/objects"):
                # Whoever makes a store makes its directories last.
                raise PartDamaged(file, "is empty", REPAIR)
            if self.read_only:
                # Immutable, as even a reader of a write-ahead log has to write beside it.
                connection = sqlite3.connect(
                    f"file:{file}?mode=ro&immutable=1", uri=True, isolation_level=None, check_same_thread=False
                )
            else:
                connection = sqlite3.connect(file, timeout=30, isolation_level=None, check_same_thread=False)
            try:
                connection.execute("PRAGMA synchronous=NORMAL")
                (format,) = connection.execute("PRAGMA user_version").fetchone()
                if format > FORMAT:
                    raise StoreTooNew(path, format)
                if format < FORMAT:
                    self._make(connection, path)
            except BaseException:
                connection.close()  # it may hold a lock, which whoever tries next would wait for
                raise
            return connection
        except (sqlite3.OperationalError, OSError) as error:
            if "I/O" in str(error) or "full" in str(error):
                raise StoreFull(path, f"{error} (its database needs 32 KiB to be opened)") from error
            raise StoreUnusable(path, str(error)) from error
        except sqlite3.DatabaseError as error:
            raise DatabaseDamaged(file, str(error)) from error
        except UnicodeDecodeError as error:
            raise DatabaseDamaged(file, _UNREADABLE) from error

    def _make(self, connection: sqlite3.Connection, path: str) -> None:
        # SQLite does not wait for others while it changes the journal's mode: one process at a time.
        descriptor = os.open(f"{path}/making", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX)
            self._make_tables(connection)
        finally:
            os.close(descriptor)

    def _make_tables(self, connection: sqlite3.Connection) -> None:
        connection.execute("PRAGMA journal_mode=WAL").fetchall()
        connection.execute("BEGIN EXCLUSIVE")
        # Another process may have made it while we waited.
        (format,) = connection.execute("PRAGMA user_version").fetchone()
        later = (statement for number in sorted(_CHANGES) if number > format for statement in _CHANGES[number])
        for statement in later if format else _SCHEMA.split(";"):
            connection.execute(statement)
        if 0 < format < 4:
            from envbuild.store.branch_tags import bring_along  # once in the life of a store

            bring_along(connection)
        if 0 < format < 5:
            from envbuild.store.tags_of_projects import hand_over

            hand_over(connection)
        connection.execute(f"PRAGMA user_version={FORMAT}")
        connection.execute("COMMIT")

    @contextmanager
    def _told_apart(self) -> Iterator[None]:
        try:
            yield
        except sqlite3.OperationalError as error:
            if self.read_only and "readonly" in str(error):
                raise StoreUnusable(self.path, "it may only be read") from error
            if any(word in str(error) for word in NOT_OURS):
                raise DatabaseDamaged(f"{self.path}/{FILE}", str(error)) from error
            if not any(word in str(error) for word in OUT_OF_SPACE):
                raise
            raise StoreFull(self.path, str(error)) from error
        except sqlite3.DatabaseError as error:
            raise DatabaseDamaged(f"{self.path}/{FILE}", str(error)) from error
        except UnicodeDecodeError as error:
            # A name in its schema is no text: SQLite's own message can't be read.
            raise DatabaseDamaged(f"{self.path}/{FILE}", _UNREADABLE) from error


def share_store(path: str) -> int:
    """Wait until nobody holds the store at `path` exclusively; it is shared until the returned descriptor is closed."""
    descriptor = _open_lock(path)
    fcntl.flock(descriptor, fcntl.LOCK_SH)
    return descriptor


@contextmanager
def lock_store(path: str, *, wait: bool) -> Iterator[None]:
    """Keep everybody else out, for removal and repair. Raises StoreInUse if others are in and `wait` is False."""
    descriptor = _open_lock(path)
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
        except BlockingIOError:
            raise StoreInUse from None
        yield
    finally:
        os.close(descriptor)


def _open_lock(path: str) -> int:
    return os.open(f"{path}/{LOCK_FILE}", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
