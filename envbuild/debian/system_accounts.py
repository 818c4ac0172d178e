"""passwd, group and their shadows for a cut of packages: never this machine's people, only what packages ask for."""

from __future__ import annotations

import re
from collections.abc import Iterable

from envbuild.record import Record
from envbuild.sandbox.user_lookup import account_number, lines_of

SHADOW = 42
"""The group that may read the shadow files (base-passwd)."""
DYNAMIC_IDS = range(100, 1000)
"""System accounts that packages' scripts make have these numbers (Debian policy 9.2.2)."""
_ADDS = re.compile(r"(?:^|[\s;&|(/])(?:adduser|addgroup|useradd|groupadd)\s(.*)")
_ASSIGNED = re.compile(r"^\s*([A-Za-z_]\w*)=[\"']?([a-z_][a-z0-9_-]*)[\"']?\s*$", re.MULTILINE)
_VARIABLE = re.compile(r"\$\{?([A-Za-z_]\w*)")
_NAME = re.compile(r"(?<![\w./$-])[a-z_][a-z0-9_-]*(?![\w./])")


class Accounts(Record):
    """The lines of the four files (passwd(5), group(5), shadow(5), gshadow(5))."""

    passwd: str
    group: str
    shadow: str
    gshadow: str


def accounts(masters: tuple[str, str], machine: tuple[str, str], asked_for: set[str]) -> Accounts:
    """The accounts of base-passwd's masters (passwd, group), and of this machine's system accounts those that are
    asked for."""
    passwd = _lines(masters[0], 7)
    group = _lines(masters[1], 4)
    passwd += _system_accounts(_lines(machine[0], 7), {line[0] for line in passwd}, asked_for)
    group += [
        [*line[:3], ""] for line in _system_accounts(_lines(machine[1], 4), {line[0] for line in group}, asked_for)
    ]
    return Accounts(
        passwd="".join(f"{':'.join([line[0], 'x', *line[2:]])}\n" for line in passwd),
        group="".join(f"{':'.join([line[0], 'x', *line[2:]])}\n" for line in group),
        # No day of the last change: it would be the day of the build (shadow(5)).
        shadow="".join(f"{line[0]}:*::0:99999:7:::\n" for line in passwd),
        gshadow="".join(f"{line[0]}:*::\n" for line in group),
    )


def asked_for(scripts: Iterable[str], sysusers: Iterable[str]) -> set[str]:
    """Names that packages' scripts give to adduser and its like, or that their sysusers.d(5) files list.

    Nobody's interpreter: too many words are better than too few, as only accounts that exist are looked at.
    """
    names: set[str] = set()
    for script in scripts:
        assigned: dict[str, list[str]] = {}
        for variable, value in _ASSIGNED.findall(script):
            assigned.setdefault(variable, []).append(value)
        for line in script.replace("\\\n", " ").splitlines():
            found = None if line.lstrip().startswith("#") else _ADDS.search(line)
            if found:
                names.update(_NAME.findall(found[1]))
                for variable in _VARIABLE.findall(found[1]):
                    names.update(assigned.get(variable, ()))
    for text in sysusers:
        names.update(words[1] for words in map(str.split, text.splitlines()) if words[1:] and words[0] in ("u", "g"))
    return names


def _system_accounts(lines: list[list[str]], known: set[str], asked_for: set[str]) -> list[list[str]]:
    return [line for line in lines if int(line[2]) in DYNAMIC_IDS and line[0] not in known and line[0] in asked_for]


def _lines(text: str, fields: int) -> list[list[str]]:
    split = (line.split(":") for line in lines_of(text))
    return [line for line in split if len(line) == fields and account_number(line[2]) is not None]
