"""The lines that add the users which somebody added by hand."""

from __future__ import annotations

from envbuild.drift.lines import Line, word
from envbuild.engine.accounts import Account, Databases, accounts, groups
from envbuild.record import Record


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
        group = next((name for name, number in groups(self.databases.group).items() if number == gid), "")
        return f"{account.name if account is not None else uid}:{group if _is_name(group) else gid}"

    def _account(self, uid: int) -> Account | None:
        found = (one for one in accounts(self.databases.passwd) if one.uid == uid and _is_name(one.name))
        return next(found, None)


def account_lines(before: Databases, after: Databases, shell: str) -> list[Line]:
    """`adduser` for each account that `after` has and `before` has not; `shell` is what it gets without being asked."""
    known = {one.name for one in accounts(before.passwd)}
    had = groups(before.group)
    now = groups(after.group)
    lines = []
    for one in accounts(after.passwd):
        if one.name in known or not _is_name(one.name) or not f"{one.home}{one.shell}".isprintable():
            continue
        words = [one.name, f"uid={one.uid}"]
        if now.get(one.name) != one.uid or one.gid != one.uid:
            words.append(f"gid={one.gid}")
        if one.home != f"/home/{one.name}":
            words.append(f"home={word(one.home)}")
        if one.shell != shell and one.shell.startswith("/"):
            words.append(f"shell={word(one.shell)}")
        member = [group for group in _memberships(one.name, after) if group in had]
        if member:
            words.append(f"groups={','.join(member)}")
        lines.append(Line(f"adduser {' '.join(words)}", (one.name,)))
    return lines


def _memberships(name: str, databases: Databases) -> list[str]:
    found = []
    for line in (databases.group or "").splitlines():
        fields = line.split(":")
        if len(fields) == 4 and name in fields[3].split(","):
            found.append(fields[0])
    return found


def _is_name(text: str) -> bool:
    return bool(text) and text.isascii() and text[0].isalnum() and not text.strip("._-").isdigit() and _plain(text)


def _plain(text: str) -> bool:
    return all(letter.isalnum() or letter in "._-" for letter in text)
