"""Which numbers a user's name means inside: looked up in the mounted tree's own files."""

from __future__ import annotations

import os
import stat
from collections.abc import Callable, Iterator

from envbuild.record import Record
from envbuild.sandbox.spec import SandboxFailure

MOST_BYTES = 16 << 20
MOST_GROUPS = 65_536
"""NGROUPS_MAX (setgroups(2))."""
LARGEST = 2**32 - 2
"""The number after it means "none" (chown(2))."""
_DIGITS = 10


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
    number = account_number(name)
    row = next((row for row in _rows("/etc/passwd", 7, opened) if name in (row[0], row[2])), None)
    if row is None and number is None:
        raise SandboxFailure(
            f"there is no user '{name}' in /etc/passwd of the tree", "add it before with `adduser`, or give a number"
        )
    uid = int(row[2]) if row is not None else int(name)
    gid = int(row[3]) if row is not None else 0
    if group:
        found = next((row for row in _rows("/etc/group", 4, opened) if group in (row[0], row[2])), None)
        if found is None and account_number(group) is None:
            raise SandboxFailure(f"there is no group '{group}' in /etc/group of the tree", "give a number, or add it")
        return Identity(uid, int(found[2]) if found is not None else int(group), ())
    own = row[0] if row is not None else None
    groups = dict.fromkeys((gid,))
    for row in _rows("/etc/group", 4, opened) if own is not None else ():
        if own in row[3].split(","):
            groups[int(row[2])] = None
    if len(groups) > MOST_GROUPS:
        raise SandboxFailure(
            f"'{name}' is in {len(groups):,} groups in /etc/group of the tree", f"at most {MOST_GROUPS:,} are possible"
        )
    return Identity(uid, gid, tuple(groups))


def account_number(text: str) -> int | None:
    """The number of a user or group that a text is; None for what is none that the kernel has (credentials(7))."""
    if not text.isascii() or not text.isdigit() or len(text) > _DIGITS or int(text) > LARGEST:
        return None
    return int(text)


def lines_of(text: str) -> Iterator[str]:
    """The lines of passwd(5) or group(5), one at a time: of a large file all together would take ten times its size.
    Other characters than newlines, which Python takes for such, are parts of them."""
    at = 0
    while at < len(text):
        end = text.find("\n", at)
        end = len(text) if end < 0 else end
        yield text[at:end]
        at = end + 1


def _rows(path: str, fields: int, opened: Callable[[str, int], int]) -> Iterator[list[str]]:
    try:
        # The tree is not to be trusted: a FIFO here must not make us wait.
        descriptor = opened(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError:
        return
    try:
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            return
        text = os.read(descriptor, MOST_BYTES).decode(errors="surrogateescape")
    finally:
        os.close(descriptor)
    for line in lines_of(text):
        row = line.split(":", 7)
        if (
            len(row) >= fields
            and account_number(row[2]) is not None
            and (fields < 7 or account_number(row[3]) is not None)
        ):
            yield row
