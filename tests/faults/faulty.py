"""Runs an envbuild command in which one call that writes fails: `python faulty.py ERRNO NUMBER WORDS...`.

Calls are counted in the main process, from 1. With NUMBER 0 none fails, and where each was made is written to the file
named by $FAULTY_SITES, one on each line.
"""

from __future__ import annotations

import builtins
import errno
import os
import sqlite3
import sys

WRITERS = (
    *("write", "ftruncate", "fsync", "link", "unlink", "rename", "replace", "mkdir", "rmdir", "symlink", "mknod"),
    *("mkfifo", "chown", "chmod", "utime", "setxattr", "removexattr"),
)
SQLITE = {"ENOSPC": "database or disk is full", "EIO": "disk I/O error", "EMFILE": "unable to open database file"}

name, number = sys.argv[1], int(sys.argv[2])
main_process = os.getpid()
counted = 0
sites: list[str] = []


def fails() -> bool:
    global counted
    if os.getpid() != main_process:
        return False
    counted += 1
    if not number:
        sites.append(site())
    return counted == number


def site() -> str:
    """The innermost line of envbuild that led here."""
    frame = sys._getframe(2)
    while frame and not frame.f_globals.get("__name__", "").startswith("envbuild."):
        frame = frame.f_back
    return f"{frame.f_globals['__name__']}:{frame.f_lineno}" if frame else "elsewhere"


def raise_it(what: object) -> None:
    code = getattr(errno, name)
    raise OSError(code, os.strerror(code), what if isinstance(what, str) else None)


def wrapped(real):
    def call(*positional, **named):
        if fails():
            raise_it(positional[0] if positional else None)
        return real(*positional, **named)

    return call


def wrap_opens() -> None:
    real_os, real_builtin = os.open, builtins.open

    def os_open(path, flags, *positional, **named):
        if (flags & (os.O_CREAT | os.O_WRONLY | os.O_RDWR) or name == "EMFILE") and fails():
            raise_it(path)
        return real_os(path, flags, *positional, **named)

    def builtin_open(path, mode="r", *positional, **named):
        if (set(mode) & set("wxa+") or name == "EMFILE") and fails():
            raise_it(path)
        return real_builtin(path, mode, *positional, **named)

    os.open, builtins.open = os_open, builtin_open


class FaultyConnection(sqlite3.Connection):
    """One that fails as SQLite does: with the transaction rolled back."""

    def execute(self, statement, *values):
        self.fail_before(statement)
        return super().execute(statement, *values)

    def executemany(self, statement, rows):
        self.fail_before(statement)
        return super().executemany(statement, rows)

    def fail_before(self, statement: str) -> None:
        if not statement.startswith(("SELECT", "ROLLBACK")) and fails():
            if self.in_transaction:
                super().execute("ROLLBACK")
            raise sqlite3.OperationalError(SQLITE[name])


def wrap_database() -> None:
    real = sqlite3.connect
    sqlite3.connect = lambda *positional, **named: real(*positional, factory=FaultyConnection, **named)


if name == "EMFILE":
    # Only what opens something can run out of descriptors.
    WRITERS = ()
for writer in WRITERS:
    setattr(os, writer, wrapped(getattr(os, writer)))
# Modules that are loaded later open their files with the real one.
import envbuild.bases.tarball  # noqa: E402
import envbuild.build.build  # noqa: E402
import envbuild.build.scheduler  # noqa: E402
import envbuild.cli.commands.build  # noqa: E402
import envbuild.ui.plain  # noqa: E402, F401
from envbuild.cli.main import run  # noqa: E402
from envbuild.store import store  # noqa: E402

wrap_opens()
wrap_database()
if name != "EMFILE":
    store.sync_file_system = wrapped(store.sync_file_system)
status = run(sys.argv[3:])
if path := os.environ.get("FAULTY_SITES"):
    lines, sites = sites, []
    with open(path, "w") as file:
        file.write("".join(f"{line}\n" for line in lines))
sys.exit(status)
