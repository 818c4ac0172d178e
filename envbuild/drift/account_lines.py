"""The lines that add the users which somebody added by hand."""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache

from envbuild.drift.statement_text import Line, word
from envbuild.images.accounts import Databases, accounts, groups
from envbuild.linux.passwd import Account, read_group
from envbuild.record import Record

MOST_LINES = 100
"""Each is tried by a build; more accounts than these nobody has added by hand."""


class Names(Record):
    """The users and groups that a tree knows, for options `owner=` and for chown(1)."""

    databases: Databases

    def owner(self, uid: int, gid: int) -> str:
        """For an option: `NAME`, `NAME:GROUP` or numbers; "" for root's own."""
        if (uid, gid) == (0, 0):
            return ""
        account = self._account(uid)
        return account.name if account is not None and account.gid == gid else self.pair(uid, gid)

    def pair(self, uid: int, gid: int) -> str:
        """For chown(1): `NAME:GROUP`, numbers where there are no names."""
        account = self._account(uid)
        group = _group_names(self.databases.group).get(gid, "")
        return f"{account.name if account is not None else uid}:{group if _is_name(group) else gid}"

    def _account(self, uid: int) -> Account | None:
        return _named_accounts(self.databases.passwd).get(uid)


@lru_cache(maxsize=4)
def _named_accounts(passwd: str | None) -> Mapping[int, Account]:
    """The first account of each number that has a name which can be written."""
    found: dict[int, Account] = {}
    for one in accounts(passwd):
        if _is_name(one.name):
            found.setdefault(one.uid, one)
    return found


@lru_cache(maxsize=4)
def _group_names(group: str | None) -> Mapping[int, str]:
    found: dict[int, str] = {}
    for name, number in groups(group).items():
        found.setdefault(number, name)
    return found


def account_lines(before: Databases, after: Databases, shell: str) -> list[Line]:
    """`adduser` for each account that `after` has and `before` has not, as many as somebody may have added by hand;
    `shell` is what it gets without being asked."""
    known = {one.name for one in accounts(before.passwd)}
    had = groups(before.group)
    now = groups(after.group)
    members = _memberships(after)
    lines: list[Line] = []
    for one in accounts(after.passwd):
        if one.name in known or not _is_name(one.name) or not f"{one.home}{one.shell}".isprintable():
            continue
        if len(lines) == MOST_LINES:
            break
        words = [one.name, f"uid={one.uid}"]
        if now.get(one.name) != one.uid or one.gid != one.uid:
            words.append(f"gid={one.gid}")
        if one.home != f"/home/{one.name}":
            words.append(f"home={word(one.home)}")
        if one.shell != shell and one.shell.startswith("/"):
            words.append(f"shell={word(one.shell)}")
        member = [group for group in members.get(one.name, ()) if group in had]
        if member:
            words.append(f"groups={','.join(member)}")
        lines.append(Line(f"adduser {' '.join(words)}", (one.name,)))
    return lines


def _memberships(databases: Databases) -> Mapping[str, list[str]]:
    """Return the groups that each user was put into."""
    memberships: dict[str, list[str]] = {}
    for group in read_group(databases.group or ""):
        for name in dict.fromkeys(group.members):
            memberships.setdefault(name, []).append(group.name)
    return memberships


def _is_name(text: str) -> bool:
    return bool(text) and text.isascii() and text[0].isalnum() and not text.strip("._-").isdigit() and _plain(text)


def _plain(text: str) -> bool:
    return all(letter.isalnum() or letter in "._-" for letter in text)
