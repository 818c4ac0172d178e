"""A merge, as lines and as plain data (docs/merge.md has the forms)."""

from __future__ import annotations

from collections.abc import Iterator

from envbuild.merge.conflict import FACT, ID, PACKAGE, Conflict
from envbuild.merge.merge import MergedImage
from envbuild.ui.humanize import count
from envbuild.ui.sanitize import visible
from envbuild.ui.stream import Output

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from envbuild.tree.entry import Entry

_SIDES = ("base", "ours", "theirs")
MAX_SHOWN = 100
"""Conflicts that are listed in words."""
_WORDS = {
    "content": "both changed it",
    "binary": "both changed it, and it is no text",
    "kind": "a file on one side, something else on the other",
    "deleted": "removed on one side, changed on the other",
    "added": "both added it",
    "attribute": "both changed its mode, owner or attributes",
    "record": "both changed",
    "id": "both gave the number",
    "alternative": "both chose",
    "package": "in two versions, or removed on one side",
    "fact": "both changed the fact",
}


def conflict_plain(conflict: Conflict) -> dict[str, Any]:
    """Return the documented form of a conflict."""
    return {
        "kind": conflict.kind,
        "name": conflict.name,
        "subject": conflict.subject,
        "package": conflict.package,
        **dict(zip(_SIDES, conflict.sides, strict=True)),
        **({"entries": dict(zip(_SIDES, map(_entry, conflict.entries), strict=True))} if conflict.entries else {}),
        **({"paths": [f"/{_text(path)}" for path in conflict.paths]} if conflict.paths else {}),
        **({"marked": _text(conflict.marked)} if conflict.marked else {}),
    }


def merge_plain(result: MergedImage) -> dict[str, Any]:
    """Return the documented form of what a merge came to, without the image."""
    return {
        "tree": f"sha256:{result.merged.tree}",
        "conflicts": [conflict_plain(conflict) for conflict in result.conflicts],
        "decided": list(result.decided),
        "renumbered": [
            {"kind": kind, "name": name, "old": old, "new": new} for kind, name, old, new in result.merged.renumbered
        ],
    }


def conflict_lines(conflicts: list[dict[str, Any]], output: Output) -> Iterator[str]:
    """Return the lines for conflicts in their documented form, each with its three sides."""
    yield output.paint(f"{count(len(conflicts), 'conflict')}:", "error")
    for conflict in conflicts[:MAX_SHOWN]:
        subject = conflict["subject"] if conflict["kind"] not in (PACKAGE, FACT) else ""
        name = conflict["package"] if conflict["kind"] == PACKAGE and conflict["package"] else conflict["name"]
        line = f"  {output.paint(visible(name), 'strong')}"
        if subject:
            line += f" ({visible(subject)})"
        line += f": {_WORDS[conflict['kind']]}"
        if conflict["kind"] == PACKAGE and conflict.get("paths"):
            line += f", with {count(len(conflict['paths']), 'file')}"
        elif conflict["package"] and conflict["kind"] != PACKAGE:
            line += f", of {visible(conflict['package'])}"
        yield line
        for side in _SIDES:
            yield f"    {side:<7} {visible(conflict[side])}"
    if len(conflicts) > MAX_SHOWN:
        yield f"  and {len(conflicts) - MAX_SHOWN:,} more, which --format json lists"
    kinds = {conflict["kind"] for conflict in conflicts}
    if kinds - {ID}:
        yield "hint: decide for a side by path, package or fact: --ours NAME, --theirs NAME; or edit: --write DIR"
    if ID in kinds:
        yield "hint: give accounts of THEIRS other numbers: --renumber"


def merged_lines(plain: dict[str, Any], side: str) -> Iterator[str]:
    """Return the lines for a merge that was tagged, from its documented form; `side` is the one that it is equal to."""
    for account in plain["renumbered"]:
        yield f"{account['kind']} {visible(account['name'])}: {account['old']} is now {account['new']}"
    if plain["caches"]:
        yield f"made anew: {', '.join(plain['caches'])}"
    same = f", which is {side}: there was nothing to merge" if side else ""
    yield f"merged: {visible(plain['tag'])} is {plain['image'].removeprefix('sha256:')[:12]}{same}"


def _entry(entry: Entry | None) -> dict[str, Any] | None:
    if entry is None:
        return None
    plain = {"kind": entry.kind, "mode": f"{entry.mode:04o}", "owner": f"{entry.uid}:{entry.gid}", "size": entry.size}
    if entry.target:
        plain["target"] = _text(entry.target)
    if entry.digest:
        plain["digest"] = f"sha256:{entry.digest}"
    return plain


def _text(value: bytes) -> str:
    return value.decode("utf-8", "backslashreplace")
