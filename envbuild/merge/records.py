"""The merge of databases that are records by keys: each record by itself, whatever the order of the file."""

from __future__ import annotations

from envbuild.record import NamedTuple

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping
    from typing import TypeVar

    from envbuild.merge.conflict import Clash

    Key = TypeVar("Key")
    Value = TypeVar("Value")

    Prefer = Callable[[str, str], str]
    """The side that was chosen for a record with this subject, of a package: `ours`, `theirs` or "". With an empty
    subject, that of a package that conflicts as a whole."""
    Join = Callable[[Value | None, Value, Value], Value | None]
    """What two values of one record come to that differ from the base's, None if they can't go together."""


class Outcome(NamedTuple):
    """What a driver makes of three contents. `settled` are the subjects for which a choice was used."""

    content: bytes
    clashes: tuple[Clash, ...] = ()
    settled: tuple[str, ...] = ()


class BadDatabase(Exception):
    """A content that is not what its path says. Never leaves the merge: it is then merged as any other file."""


def merge_records(
    base: Mapping[Key, Value],
    ours: Mapping[Key, Value],
    theirs: Mapping[Key, Value],
    join: Join[Value],
) -> tuple[dict[Key, Value], list[Key]]:
    """Return the merged records, and the keys of those that conflict, which are ours, or are theirs where ours has
    none. They are in the order of `in_order`."""
    taken: dict[Key, Value | None] = {}
    clashes: list[Key] = []
    for key in ours.keys() | theirs.keys():
        was, left, right = base.get(key), ours.get(key), theirs.get(key)
        if left == right or right == was:
            taken[key] = left
        elif left == was:
            taken[key] = right
        else:
            joined = join(was, left, right) if left is not None and right is not None else None
            if joined is None:
                clashes.append(key)
                joined = left if left is not None else right
            taken[key] = joined
    merged: dict[Key, Value] = {}
    for key in in_order(base, ours, theirs):
        value = taken[key]
        if value is not None:
            merged[key] = value
    return merged, clashes


def in_order(base: Iterable[Key], ours: Iterable[Key], theirs: Iterable[Key]) -> list[Key]:
    """Return all keys of both sides: those of the base in its order, and behind each what the sides have there that is
    new. The sides may be exchanged."""
    known = dict.fromkeys(base)
    follows: dict[Key | None, list[list[Key]]] = {}
    held: set[Key] = set()
    for side in (ours, theirs):
        last: Key | None = None
        run: list[Key] = []
        for key in side:
            held.add(key)
            if key not in known:
                run.append(key)
                continue
            if run:
                follows.setdefault(last, []).append(run)
                run = []
            last = key
        if run:
            follows.setdefault(last, []).append(run)
    ordered: dict[Key, None] = {}
    for anchor in (None, *known):
        if anchor is not None and anchor in held:
            ordered[anchor] = None
        for run in sorted(follows.get(anchor, ()), key=repr):
            ordered |= dict.fromkeys(run)
    return list(ordered)
