"""The lines for groups that somebody added by hand, and for users that were put into groups which packages made."""

from __future__ import annotations

import re

from envbuild.drift.statement_text import Line, as_root
from envbuild.images.accounts import Databases, accounts, groups
from envbuild.linux.passwd import read_group

MAX_LINES = 100
_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_.-]{0,31}")


def group_lines(before: Databases, after: Databases, user: str) -> list[Line]:
    """Return a line for each group that `after` has and `before` lacks, but for those that come with a user of the same
    name (`adduser`)."""
    known = groups(before.group)
    own = {account.name: account.gid for account in accounts(after.passwd)}
    lines: list[Line] = []
    for name, gid in groups(after.group).items():
        if name in known or own.get(name) == gid or not _NAME.fullmatch(name) or len(lines) == MAX_LINES:
            continue
        lines.append(Line(f"run{as_root(user)} groupadd --gid {gid} {name}", (name,)))
    return lines


def member_lines(before: Databases, after: Databases, user: str) -> list[Line]:
    """Return a line for each user of both who is in more groups in `after`, of those that `before` has."""
    old = {group.name: set(group.members) for group in read_group(before.group or "")}
    users = {account.name for account in accounts(before.passwd)}
    added: dict[str, list[str]] = {}
    for group in read_group(after.group or ""):
        for name in group.members:
            both = group.name in old and name in users and name not in old[group.name]
            if both and _NAME.fullmatch(name) and _NAME.fullmatch(group.name):
                added.setdefault(name, []).append(group.name)
    lines = [
        Line(f"run{as_root(user)} usermod --append --groups {','.join(names)} {name}", (name,))
        for name, names in sorted(added.items())
    ]
    return lines[:MAX_LINES]
