"""Runs an envbuild command and writes down what it does to its store: `main` with sys.argv of FILE WORDS...

The file gets a pickled Recording: every object and layer that came or went, every commit, and every sync, in order.
"""

from __future__ import annotations

import os
import pickle
import sqlite3
import stat
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path


@dataclass
class Inode:
    """A file of the pool, as it was when it came there."""

    content: bytes
    mode: int
    mtime: int
    changed: int


@dataclass
class Event:
    """`kind` is file, layer, gone, database, checkpoint or sync; `path` is relative to the store.

    A file has its `inode`; a layer lists (path, what), where `what` is a number of an inode or what else lies there.
    """

    kind: str
    path: str = ""
    inode: int = 0
    layer: list[tuple[str, object]] = field(default_factory=list)
    database: bytes = b""
    log: bytes = b""
    changed: int = 0


@dataclass
class Recording:
    """What a command did, and the pool's inodes before it: path to (number, change time)."""

    before: dict[str, tuple[int, int]] = field(default_factory=dict)
    inodes: dict[int, Inode] = field(default_factory=dict)
    events: list[Event] = field(default_factory=list)


class Recorder:
    def __init__(self, store: str) -> None:
        self.store = store
        self.process = os.getpid()
        self.recording = Recording()
        self.written: tuple[object, bytes, bytes] = (None, b"", b"")
        for path in sorted(Path(store, "objects").rglob("*")):
            if path.is_file():
                status = path.stat()
                self.recording.before[str(path.relative_to(store))] = (status.st_ino, status.st_ctime_ns)
        self.tell("database")

    def inside(self, path: object, *folders: str) -> str:
        """The path relative to the store if it lies in one of its folders."""
        if not isinstance(path, str) or os.getpid() != self.process:
            return ""
        inner = os.path.relpath(path, self.store)
        return inner if inner.partition("/")[0] in folders else ""

    def tell(self, kind: str, path: str = "", inode: int = 0, layer: list | None = None) -> None:
        if os.getpid() != self.process:
            return
        _, database, log = self.written = self.files()
        self.recording.events.append(Event(kind, path, inode, layer or [], database, log, time.time_ns()))

    def files(self) -> tuple[object, bytes, bytes]:
        """The database and its log as they are."""
        paths = [Path(self.store, "store.db"), Path(self.store, "store.db-wal")]
        states = [(path.stat().st_size, path.stat().st_mtime_ns) if path.exists() else None for path in paths]
        if states == self.written[0]:
            return self.written
        database, log = (path.read_bytes() if path.exists() else b"" for path in paths)
        return states, database, log

    def file(self, path: str) -> int:
        status = os.lstat(path)
        known = self.recording.inodes.get(status.st_ino)
        if known is None and status.st_ino not in {number for number, _ in self.recording.before.values()}:
            mode = stat.S_IMODE(status.st_mode)
            content = Path(path).read_bytes()
            self.recording.inodes[status.st_ino] = Inode(content, mode, status.st_mtime_ns, status.st_ctime_ns)
        return status.st_ino

    def listing(self, folder: str) -> list[tuple[str, object]]:
        entries: list[tuple[str, object]] = []
        for where, folders, files in os.walk(folder):
            for name in (*folders, *files, *([""] if where == folder else [])):
                path = os.path.join(where, name) if name else where
                status = os.lstat(path)
                what: object
                if stat.S_ISREG(status.st_mode):
                    what = self.file(path)
                elif stat.S_ISLNK(status.st_mode):
                    what = ("link", os.readlink(path), status.st_mtime_ns)
                elif stat.S_ISDIR(status.st_mode):
                    marks = {
                        attribute: os.getxattr(path, attribute)
                        for attribute in os.listxattr(path)
                        if attribute.startswith("user.")
                    }
                    what = ("folder", stat.S_IMODE(status.st_mode), status.st_mtime_ns, marks)
                else:
                    what = ("whiteout",)
                entries.append((os.path.relpath(path, folder), what))
        return entries

    # What is called in place of the real ones

    def link(self, real):
        def call(source, target, **named):
            real(source, target, **named)
            if inner := self.inside(target, "objects"):
                self.tell("file", inner, self.file(target))

        return call

    def rename(self, real):
        def call(source, target, **named):
            real(source, target, **named)
            if inner := self.inside(target, "objects"):
                self.tell("file", inner, self.file(target))
            elif inner := self.inside(target, "layers"):
                self.tell("layer", inner, layer=self.listing(target))
            elif inner := self.inside(source, "objects", "layers"):
                self.tell("gone", inner)

        return call

    def remove(self, real):
        def call(path, **named):
            real(path, **named)
            if inner := self.inside(path, "objects", "layers"):
                self.tell("gone", inner)

        return call


def connection(recorder: Recorder) -> type[sqlite3.Connection]:
    class Recorded(sqlite3.Connection):
        def execute(self, statement, *values):
            checkpoint = statement.startswith("PRAGMA wal_checkpoint")
            if checkpoint:
                recorder.tell("checkpoint")
            result = super().execute(statement, *values)
            if not statement.startswith("SELECT") and not self.in_transaction and not checkpoint:
                recorder.tell("database")
            return result

    return Recorded


def main() -> int:
    recorder = Recorder(os.environ["ENVBUILD_STORE"])
    os.link, os.rename, os.replace = recorder.link(os.link), recorder.rename(os.rename), recorder.rename(os.replace)
    os.unlink = recorder.remove(os.unlink)
    connect, factory = sqlite3.connect, connection(recorder)
    sqlite3.connect = lambda *positional, **named: connect(*positional, factory=factory, **named)

    from envbuild.cli.main import run
    from envbuild.store import gc, store

    real_sync = store.sync_file_system

    def sync(path: str) -> None:
        real_sync(path)
        recorder.tell("sync")

    store.sync_file_system = sync
    gc.remove = recorder.remove(gc.remove)
    status = run(sys.argv[2:])
    # The last connection was closed: the log is in the database, and that is synced (sqlite.org/wal.html).
    recorder.tell("checkpoint")
    with open(sys.argv[1], "wb") as file:
        pickle.dump(recorder.recording, file)
    return status
