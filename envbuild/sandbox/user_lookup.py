"""Which numbers a user's name means inside: looked up in the mounted tree's own files."""

from __future__ import annotations

import os
import stat

from envbuild.errors import fields
from envbuild.linux.passwd import account_number, read_group, read_passwd
from envbuild.record import Record
from envbuild.sandbox.spec import SandboxFailure

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable


PASSWD, GROUP = "/etc/passwd", "/etc/group"
MAX_BYTES = 16 << 20
MAX_GROUPS = 65_536
"""NGROUPS_MAX (setgroups(2))."""


@fields
class NoUserInTree(SandboxFailure):
    """A user that the accounts of the tree do not have."""

    name: str

    def text(self) -> tuple[str, str]:
        return (
            f"there is no user '{self.name}' in {PASSWD} of the tree",
            "add it before with `adduser`, or give a number",
        )


@fields
class NoGroupInTree(SandboxFailure):
    """A group that the tree does not have."""

    name: str

    def text(self) -> tuple[str, str]:
        return f"there is no group '{self.name}' in {GROUP} of the tree", "give a number, or add it"


@fields
class TooManyGroups(SandboxFailure):
    """A user of the tree is in more groups than the kernel takes."""

    name: str
    count: int

    def text(self) -> tuple[str, str]:
        return (
            f"'{self.name}' is in {self.count:,} groups in /etc/group of the tree",
            f"at most {MAX_GROUPS:,} are possible",
        )


class Identity(Record):
    """The numbers that a command runs with."""

    uid: int
    gid: int
    groups: tuple[int, ...]


def identity_of(user: str, opened: Callable[[str, int], int] = os.open) -> Identity:
    """Return the numbers of "" (root), NAME, NAME:GROUP, or numbers; supplementary groups as /etc/group has them.

    `opened` opens a path of the tree, for who has not changed into it. Raises SandboxFailure for a name that
    the tree does not know.
    """
    if user in ("", "root", "0"):
        return Identity(0, 0, (0,))
    name, _, group = user.partition(":")
    number = account_number(name)
    accounts = read_passwd(_text(PASSWD, opened))
    account = next((account for account in accounts if account.name == name or account.uid == number), None)
    uid = number if account is None else account.uid
    if uid is None:
        raise NoUserInTree(name)
    if group:
        gid = _gid_of(group, opened)
        if gid is None:
            raise NoGroupInTree(group)
        return Identity(uid, gid, ())
    gid = account.gid if account is not None else 0
    groups = dict.fromkeys((gid,))
    if account is not None:
        groups.update((row.gid, None) for row in read_group(_text(GROUP, opened)) if account.name in row.members)
    if len(groups) > MAX_GROUPS:
        raise TooManyGroups(name, len(groups))
    return Identity(uid, gid, tuple(groups))


def _gid_of(group: str, opened: Callable[[str, int], int]) -> int | None:
    number = account_number(group)
    rows = read_group(_text(GROUP, opened))
    return next((row.gid for row in rows if row.name == group or row.gid == number), number)


def _text(path: str, opened: Callable[[str, int], int]) -> str:
    """Return the text of a file of the tree, "" if there is none."""
    try:
        # The tree is not to be trusted: a FIFO here must not make us wait.
        descriptor = opened(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError:
        return ""
    try:
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            return ""
        return os.read(descriptor, MAX_BYTES).decode(errors="surrogateescape")
    finally:
        os.close(descriptor)
