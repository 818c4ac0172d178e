"""A command of envbuild in which one call that writes fails: `main` with sys.argv of ERRNO NUMBER WORDS...

Calls are counted in the main process, from 1. With NUMBER 0 none fails, and where each was made is written to the file
named by $FAULTY_SITES, one on each line.
"""

from __future__ import annotations

import builtins
import errno
import os
import sqlite3
import sys
from collections.abc import Callable
from typing import Any

from envbuild.cli.main import run
from envbuild.store import store

WRITERS = (
    *("write", "ftruncate", "fsync", "link", "unlink", "rename", "replace", "mkdir", "rmdir", "symlink", "mknod"),
    *("mkfifo", "chown", "chmod", "utime", "setxattr", "removexattr"),
)
SQLITE = {"ENOSPC": "database or disk is full", "EIO": "disk I/O error", "EMFILE": "unable to open database file"}


class Faults:
    """Counts the calls that write, and has one of them fail."""

    def __init__(self, name: str, number: int) -> None:
        self.name, self.number = name, number
        self.process = os.getpid()
        self.counted = 0
        self.sites: list[str] = []

    def fails(self) -> bool:
        if os.getpid() != self.process:
            return False
        self.counted += 1
        if not self.number:
            self.sites.append(site())
        return self.counted == self.number

    def raise_it(self, what: object) -> None:
        code = getattr(errno, self.name)
        raise OSError(code, os.strerror(code), what if isinstance(what, str) else None)

    def wrapped(self, real: Callable) -> Callable:
        def call(*positional: Any, **named: Any) -> Any:
            if self.fails():
                self.raise_it(positional[0] if positional else None)
            return real(*positional, **named)

        return call

    def wrap_opens(self) -> None:
        real_os, real_builtin = os.open, builtins.open

        def os_open(path, flags, *positional, **named):
            if (flags & (os.O_CREAT | os.O_WRONLY | os.O_RDWR) or self.name == "EMFILE") and self.fails():
                self.raise_it(path)
            return real_os(path, flags, *positional, **named)

        def builtin_open(path, mode="r", *positional, **named):
            if (set(mode) & set("wxa+") or self.name == "EMFILE") and self.fails():
                self.raise_it(path)
            return real_builtin(path, mode, *positional, **named)

        os.open, builtins.open = os_open, builtin_open

    def wrap_database(self) -> None:
        faults, real = self, sqlite3.connect

        class FaultyConnection(sqlite3.Connection):
            """One that fails as SQLite does: with the transaction rolled back."""

            def execute(self, statement, *values):
                self.fail_before(statement)
                return super().execute(statement, *values)

            def executemany(self, statement, rows):
                self.fail_before(statement)
                return super().executemany(statement, rows)

            def fail_before(self, statement: str) -> None:
                if not statement.startswith(("SELECT", "ROLLBACK")) and faults.fails():
                    if self.in_transaction:
                        super().execute("ROLLBACK")
                    raise sqlite3.OperationalError(SQLITE[faults.name])

        sqlite3.connect = lambda *positional, **named: real(*positional, factory=FaultyConnection, **named)


def site() -> str:
    """The innermost line of envbuild that led here."""
    frame = sys._getframe(2)
    while frame and not frame.f_globals.get("__name__", "").startswith("envbuild."):
        frame = frame.f_back
    return f"{frame.f_globals['__name__']}:{frame.f_lineno}" if frame else "elsewhere"


def main() -> int:
    name, number, *words = sys.argv[1:]
    faults = Faults(name, int(number))
    if name != "EMFILE":
        # Only what opens something can run out of descriptors.
        for writer in WRITERS:
            setattr(os, writer, faults.wrapped(getattr(os, writer)))
        store.sync_file_system = faults.wrapped(store.sync_file_system)
    faults.wrap_opens()
    faults.wrap_database()
    status = run(words)
    if path := os.environ.get("FAULTY_SITES"):
        lines, faults.sites = faults.sites, []
        with open(path, "w") as file:
            file.write("".join(f"{line}\n" for line in lines))
    return status
