"""The lines that add the users that somebody added by hand."""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache

from envbuild.drift.statement_text import Line, word
from envbuild.images.accounts import Databases, accounts, groups
from envbuild.linux.passwd import Account, read_group
from envbuild.record import Record

MAX_LINES = 100
"""Each line takes a trial build; nobody adds more accounts than this by hand."""


class Names(Record):
    """The names of a tree's users and groups, for options `owner=` and for chown(1)."""

    databases: Databases

    def owner(self, uid: int, gid: int) -> str:
        """Return the owner for an option: `NAME`, `NAME:GROUP` or numbers; "" for root."""
        if (uid, gid) == (0, 0):
            return ""
        account = self._account(uid)
        return account.name if account is not None and account.gid == gid else self.pair(uid, gid)

    def pair(self, uid: int, gid: int) -> str:
        """Return the owner for chown(1): `NAME:GROUP`, with numbers where there are no names."""
        account = self._account(uid)
        group = _group_names(self.databases.group).get(gid, "")
        return f"{account.name if account is not None else uid}:{group if _is_name(group) else gid}"

    def name(self, uid: int) -> str:
        """Return the name of a user, "" for one without a name that a recipe can contain."""
        account = self._account(uid)
        return account.name if account is not None else ""

    def _account(self, uid: int) -> Account | None:
        return _named_accounts(self.databases.passwd).get(uid)


@lru_cache(maxsize=4)
def _named_accounts(passwd: str | None) -> Mapping[int, Account]:
    """Return the first account of each id whose name a recipe can contain."""
    named: dict[int, Account] = {}
    for account in accounts(passwd):
        if _is_name(account.name):
            named.setdefault(account.uid, account)
    return named


@lru_cache(maxsize=4)
def _group_names(group: str | None) -> Mapping[int, str]:
    names: dict[int, str] = {}
    for name, gid in groups(group).items():
        names.setdefault(gid, name)
    return names


def account_lines(before: Databases, after: Databases, shell: str) -> list[Line]:
    """Return an `adduser` for each account that `after` has and `before` lacks, up to MAX_LINES. `shell` is the default
    shell."""
    known = {account.name for account in accounts(before.passwd)}
    old_groups = groups(before.group)
    new_groups = groups(after.group)
    members = _memberships(after)
    lines: list[Line] = []
    for account in accounts(after.passwd):
        printable = f"{account.home}{account.shell}".isprintable()
        if account.name in known or not _is_name(account.name) or not printable:
            continue
        if len(lines) == MAX_LINES:
            break
        words = [account.name, f"uid={account.uid}"]
        if new_groups.get(account.name) != account.uid or account.gid != account.uid:
            words.append(f"gid={account.gid}")
        if account.home != f"/home/{account.name}":
            words.append(f"home={word(account.home)}")
        if account.shell != shell and account.shell.startswith("/"):
            words.append(f"shell={word(account.shell)}")
        member = [group for group in members.get(account.name, ()) if group in old_groups]
        if member:
            words.append(f"groups={','.join(member)}")
        lines.append(Line(f"adduser {' '.join(words)}", (account.name,)))
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
