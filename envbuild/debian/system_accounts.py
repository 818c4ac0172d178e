"""passwd, group and their shadows for a cut of packages: never this machine's people, only what packages ask for."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import TypeVar

from envbuild.linux.passwd import Account, Group, read_group, read_passwd

SHADOW = 42
"""The group that may read the shadow files (base-passwd)."""
DYNAMIC_IDS = range(100, 1000)
"""System accounts that packages' scripts make have these numbers (Debian policy 9.2.2)."""
_ADDS = re.compile(r"(?:^|[\s;&|(/])(?:adduser|addgroup|useradd|groupadd)\s(.*)")
_ASSIGNED = re.compile(r"^\s*([A-Za-z_]\w*)=[\"']?([a-z_][a-z0-9_-]*)[\"']?\s*$", re.MULTILINE)
_VARIABLE = re.compile(r"\$\{?([A-Za-z_]\w*)")
_NAME = re.compile(r"(?<![\w./$-])[a-z_][a-z0-9_-]*(?![\w./])")

Row = TypeVar("Row", bound=Account | Group)


@dataclass(frozen=True, slots=True)
class Accounts:
    """The lines of the four files (passwd(5), group(5), shadow(5), gshadow(5))."""

    passwd: str
    group: str
    shadow: str
    gshadow: str


def accounts(masters: tuple[str, str], machine: tuple[str, str], asked_for: set[str]) -> Accounts:
    """Return the accounts of base-passwd's masters (passwd, group), and of this machine's system accounts those that
    are asked for."""
    users = _with_asked_for(read_passwd(masters[0]), read_passwd(machine[0]), asked_for)
    groups = _with_asked_for(read_group(masters[1]), _without_members(machine[1]), asked_for)
    return Accounts(
        passwd="".join(account.line for account in users),
        group="".join(group.line for group in groups),
        # No day of the last change: it would be the day of the build (shadow(5)).
        shadow="".join(f"{account.name}:*::0:99999:7:::\n" for account in users),
        gshadow="".join(f"{group.name}:*::\n" for group in groups),
    )


def asked_for(scripts: Iterable[str], sysusers: Iterable[str]) -> set[str]:
    """Return the names that packages' scripts give to adduser and its like, or that their sysusers.d(5) files list.

    Nobody's interpreter: too many words are better than too few, as only accounts that exist are looked at.
    """
    names: set[str] = set()
    for script in scripts:
        assigned: dict[str, list[str]] = {}
        for variable, value in _ASSIGNED.findall(script):
            assigned.setdefault(variable, []).append(value)
        for line in script.replace("\\\n", " ").splitlines():
            command = None if line.lstrip().startswith("#") else _ADDS.search(line)
            if command:
                names.update(_NAME.findall(command[1]))
                for variable in _VARIABLE.findall(command[1]):
                    names.update(assigned.get(variable, ()))
    for text in sysusers:
        names.update(words[1] for words in map(str.split, text.splitlines()) if words[1:] and words[0] in ("u", "g"))
    return names


def _without_members(group: str) -> Iterator[Group]:
    """Yield the groups of this machine without its people."""
    return (row.replace(members=()) for row in read_group(group))


def _with_asked_for(masters: Iterable[Row], machine: Iterable[Row], asked_for: set[str]) -> list[Row]:
    """Return the masters' rows, and those of this machine's system accounts that are asked for."""
    rows = {row.name: row for row in masters}
    for row in machine:
        if row.name in asked_for and _number(row) in DYNAMIC_IDS:
            rows.setdefault(row.name, row)
    return list(rows.values())


def _number(row: Account | Group) -> int:
    return row.uid if isinstance(row, Account) else row.gid
