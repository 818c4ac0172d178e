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
    """The side that was chosen for a record's subject, and for a package: `ours`, `theirs` or ""."""
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
    none. Records keep the order of ours; those that theirs adds come behind the ones that they follow there."""
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
    for key in in_order(ours, theirs):
        value = taken[key]
        if value is not None:
            merged[key] = value
    return merged, clashes


def in_order(ours: Iterable[Key], theirs: Iterable[Key]) -> list[Key]:
    """Return all keys: ours in their order, and each other one of theirs behind the key that it follows there."""
    known = dict.fromkeys(ours)
    follows: dict[Key | None, list[Key]] = {}
    last: Key | None = None
    for key in theirs:
        if key in known:
            last = key
        else:
            follows.setdefault(last, []).append(key)
    ordered = list(follows.get(None, ()))
    for key in known:
        ordered.append(key)
        ordered += follows.get(key, ())
    return ordered
