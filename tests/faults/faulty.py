"""Runs an envbuild command in which one call that writes fails: `python faulty.py ERRNO NUMBER WORDS...`.

Calls are counted in the main process, from 1. With NUMBER 0 none fails, and the count is written to the file named
by $FAULTY_COUNT.
"""

from __future__ import annotations

import builtins
import errno
import os
import sqlite3
import sys

WRITERS = ("write", "link", "rename", "replace", "mkdir", "symlink", "chown", "chmod", "utime", "setxattr", "mknod")
SQLITE = {"ENOSPC": "database or disk is full", "EIO": "disk I/O error", "EMFILE": "unable to open database file"}

name, number = sys.argv[1], int(sys.argv[2])
main_process = os.getpid()
counted = 0


def fails(what: str) -> bool:
    global counted
    if os.getpid() != main_process:
        return False
    counted += 1
    return counted == number


def raise_it(what: object) -> None:
    code = getattr(errno, name)
    raise OSError(code, os.strerror(code), what if isinstance(what, str) else None)


def wrapped(real):
    def call(*positional, **named):
        if fails(real.__name__):
            raise_it(positional[0] if positional else None)
        return real(*positional, **named)

    return call


def wrap_opens() -> None:
    real_os, real_builtin = os.open, builtins.open

    def os_open(path, flags, *positional, **named):
        if (flags & (os.O_CREAT | os.O_WRONLY | os.O_RDWR) or name == "EMFILE") and fails("open"):
            raise_it(path)
        return real_os(path, flags, *positional, **named)

    def builtin_open(path, mode="r", *positional, **named):
        if (set(mode) & set("wxa+") or name == "EMFILE") and fails("open"):
            raise_it(path)
        return real_builtin(path, mode, *positional, **named)

    os.open, builtins.open = os_open, builtin_open


def wrap_database() -> None:
    from envbuild.store.database import Database

    real = Database.write

    def write(self, statement, values=()):
        if fails("database"):
            with self._told_apart():
                raise sqlite3.OperationalError(SQLITE[name])
        return real(self, statement, values)

    Database.write = write


if name == "EMFILE":
    # Only what opens something can run out of descriptors.
    WRITERS = ()
for writer in WRITERS:
    setattr(os, writer, wrapped(getattr(os, writer)))
# Modules that are loaded later open their files with the real one.
import envbuild.bases.tarball  # noqa: E402
import envbuild.cli.build  # noqa: E402
import envbuild.engine.build  # noqa: E402
import envbuild.engine.run_missing  # noqa: E402
import envbuild.ui.plain  # noqa: E402, F401
from envbuild.cli.main import run  # noqa: E402

wrap_opens()
wrap_database()
status = run(sys.argv[3:])
if path := os.environ.get("FAULTY_COUNT"):
    number = 0
    with open(path, "w") as file:
        file.write(str(counted))
sys.exit(status)
