"""The lines that enable, disable and mask systemd's units, whose state is links in /etc/systemd/system (systemctl(1)).

Only units that the tree of the lines has are named: links to others are made as links.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator

from envbuild.drift.statement_text import Line, as_root, has
from envbuild.store.store import Store
from envbuild.tree.diff import Change
from envbuild.tree.entry import LINK, Digest

FOLDER = b"etc/systemd/system/"
UNIT_FOLDERS = ("etc/systemd/system", "usr/lib/systemd/system", "lib/systemd/system")
_UNIT = re.compile(r"[A-Za-z0-9:_.@\\-]{1,255}\.(?:service|timer|socket|path|mount|target|automount|swap)")
_WANTED = re.compile(rb"etc/systemd/system/[^/]+\.(?:wants|requires)/([^/]+)")
MAX_UNITS = 200


def unit_lines(store: Store, tree: Digest, changes: Iterable[Change], user: str) -> list[Line]:
    """Return the lines for `changes` of the links of units, on top of `tree`. Commands run as `user`."""
    asked: dict[str, dict[str, None]] = {"enable": {}, "disable": {}, "mask": {}}
    for change in changes:
        for verb, unit in _verbs(change):
            if len(asked[verb]) < MAX_UNITS and _is_unit(store, tree, unit):
                asked[verb][unit] = None
    # A unit that has links of both kinds is only made to start elsewhere.
    asked["disable"] = {unit: None for unit in asked["disable"] if unit not in asked["enable"]}
    head = f"run{as_root(user)}"
    return [
        Line(f"{head} systemctl {verb} {' '.join(sorted(units))}", tuple(units))
        for verb, units in asked.items()
        if units
    ]


def _verbs(change: Change) -> Iterator[tuple[str, str]]:
    before, after = change.before, change.after
    if not change.path.startswith(FOLDER):
        return
    name = change.path[len(FOLDER) :].decode("utf-8", "replace")
    if after is not None and after.kind == LINK and after.target == b"/dev/null" and "/" not in name:
        yield "mask", name
    match = _WANTED.fullmatch(change.path)
    if match is None:
        return
    unit = match[1].decode("utf-8", "replace")
    if after is not None and after.kind == LINK and before is None:
        yield "enable", unit
    elif after is None and before is not None and before.kind == LINK:
        yield "disable", unit


def _is_unit(store: Store, tree: Digest, unit: str) -> bool:
    """Return whether the tree has a unit of this name, or the template that it is made of."""
    if not _UNIT.fullmatch(unit) or unit.startswith("-"):
        return False
    stem, at, rest = unit.partition("@")
    names = {unit, f"{stem}@.{rest.rpartition('.')[2]}"} if at else {unit}
    return any(has(store, tree, f"{folder}/{name}") for folder in UNIT_FOLDERS for name in names)
