"""Which numbers a user's name means inside: looked up in the mounted tree's own files."""

from __future__ import annotations

import os
import stat
from collections.abc import Callable

from envbuild.record import Record
from envbuild.sandbox.failure import SandboxFailure

MOST_BYTES = 16 << 20


class Identity(Record):
    """The numbers that a command runs with."""

    uid: int
    gid: int
    groups: tuple[int, ...]


def identity_of(user: str, opened: Callable[[str, int], int] = os.open) -> Identity:
    """The numbers of "" (root), NAME, NAME:GROUP, or numbers; supplementary groups as /etc/group has them.

    `opened` opens a path of the tree, for who has not changed into it. Raises SandboxFailure for a name that
    the tree does not know.
    """
    if user in ("", "root", "0"):
        return Identity(0, 0, (0,))
    name, _, group = user.partition(":")
    row = next((row for row in _rows("/etc/passwd", 7, opened) if name in (row[0], row[2])), None)
    if row is None and not is_id(name):
        raise SandboxFailure(
            f"there is no user '{name}' in /etc/passwd of the tree", "add it before with `adduser`, or give a number"
        )
    uid = int(row[2]) if row is not None else int(name)
    gid = int(row[3]) if row is not None else 0
    rows = _rows("/etc/group", 4, opened)
    if group:
        found = next((row for row in rows if group in (row[0], row[2])), None)
        if found is None and not is_id(group):
            raise SandboxFailure(f"there is no group '{group}' in /etc/group of the tree", "give a number, or add it")
        return Identity(uid, int(found[2]) if found is not None else int(group), ())
    own = row[0] if row is not None else None
    member = tuple(int(row[2]) for row in rows if own is not None and own in row[3].split(","))
    return Identity(uid, gid, tuple(dict.fromkeys((gid, *member))))


def _rows(path: str, fields: int, opened: Callable[[str, int], int]) -> list[list[str]]:
    try:
        # The tree is not to be trusted: a FIFO here must not make us wait.
        descriptor = opened(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError:
        return []
    try:
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            return []
        text = os.read(descriptor, MOST_BYTES).decode(errors="surrogateescape")
    finally:
        os.close(descriptor)
    rows = [line.split(":") for line in text.splitlines()]
    return [row for row in rows if len(row) >= fields and is_id(row[2]) and (fields < 7 or is_id(row[3]))]


def is_id(text: str) -> bool:
    """Whether it is the number of a user or a group: the last one of 32 bits means nobody's (chown(2))."""
    return text.isascii() and text.isdigit() and len(text) <= 10 and int(text) < 2**32 - 1
