"""What differs between two environments, sorted into what a reader wants to know first."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from envbuild.history.operand import Declared, Side
from envbuild.history.package_attribution import explain
from envbuild.history.package_changes import Package, PackageChange, package_changes
from envbuild.packages.inventory.bad_record import BadRecord
from envbuild.record import Record, values
from envbuild.store.store import Store
from envbuild.tree.diff import Change, aspects, diff, expanded
from envbuild.tree.entry import DIRECTORY, ROOT_NAME, Digest

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

_KINDS = {"apt": "dpkg", "pip": "python", "npm": "node"}


class FactChange(Record):
    """A fact that differs, by its name (`env.PATH`, `user`); None where a side does not have it."""

    name: str
    old: Any
    new: Any


class PackageDifference(Record):
    """A package that differs, with the changes of paths that this explains."""

    change: PackageChange
    changes: tuple[Change, ...] = ()


class Comparison(Record):
    """All that differs between `old` and `new`.

    `packages` fold the paths that they explain; `records` are paths that package managers keep for themselves, `times`
    those whose time alone differs, `rest` all others: what no package explains. `ways` are folders that differ only
    because something in them does. All are sorted by path. Where a side is known by its lock alone (`whole` is False)
    there are only the packages that recipes declare, and no paths.
    """

    old: Side
    new: Side
    whole: bool
    facts: tuple[FactChange, ...] = ()
    packages: tuple[PackageDifference, ...] = ()
    records: tuple[Change, ...] = ()
    times: tuple[Change, ...] = ()
    rest: tuple[Change, ...] = ()
    ways: tuple[Change, ...] = ()
    bad: tuple[BadRecord, ...] = ()

    @property
    def same(self) -> bool:
        """Whether the two are one image, or hold the same where one is no image."""
        if self.old.image and self.new.image:
            return self.old.image == self.new.image
        return (self.old.tree, self.old.facts) == (self.new.tree, self.new.facts)

    @property
    def changes(self) -> list[Change]:
        """All paths that differ, sorted."""
        folded = [change for one in self.packages for change in one.changes]
        return sorted([*folded, *self.records, *self.times, *self.rest, *self.ways], key=lambda change: change.path)


class FolderCount(Record):
    """How many paths of one top folder differ; bytes of files before and after."""

    folder: str
    added: int
    removed: int
    changed: int
    old_size: int
    new_size: int


def compare(store: Store, old: Side, new: Side) -> Comparison:
    """Compares two sides. Raises StoreDamaged where the store lacks a part of them."""
    if old.tree is None or new.tree is None:
        packages = tuple(PackageDifference(one) for one in _declared(old.packages, new.packages))
        return Comparison(old, new, False, (), packages)
    facts = tuple(_facts("", old.facts or {}, new.facts or {}))
    return _trees(store, Comparison(old, new, True, facts), old.tree, new.tree)


def by_folder(changes: Iterable[Change]) -> list[FolderCount]:
    """One count for each folder at the root that has changes, sorted; files at the root itself count as `/`."""
    counts: dict[str, list[int]] = {}
    for change in changes:
        head, slash, _ = change.path.partition(b"/")
        folder = "/" + head.decode("utf-8", "backslashreplace") if slash else "/"
        count = counts.setdefault(folder, [0, 0, 0, 0, 0])
        before, after = change.before, change.after
        count[0 if before is None else 1 if after is None else 2] += 1
        count[3] += before.size if before is not None else 0
        count[4] += after.size if after is not None else 0
    return [FolderCount(folder, *count) for folder, count in sorted(counts.items())]


def _trees(store: Store, comparison: Comparison, old: Digest, new: Digest) -> Comparison:
    changes = sorted(expanded(store.trees, diff(store.trees, old, new)), key=lambda change: change.path)
    read = package_changes(store, changes)
    packages = list(read.found)
    told = explain(store, (old, new), packages, changes)
    rest: list[Change] = []
    times: list[Change] = []
    for change in told.rest:
        (times if aspects(change) == ("time",) else rest).append(change)
    # A folder's time is that of the last change inside it.
    inside = {folder for change in changes for folder in _folders(change.path)}
    shown_times = [change for change in times if not (_is_folder(change) and change.path in inside)]
    shown = list(_without_ways(rest, inside))
    kept = {change.path for change in (*shown_times, *shown)}
    return comparison.replace(
        packages=tuple(PackageDifference(one, tuple(told.of.get(n, ()))) for n, one in enumerate(packages)),
        records=tuple(told.records),
        times=tuple(shown_times),
        rest=tuple(shown),
        ways=tuple(change for change in (*times, *rest) if change.path not in kept),
        bad=tuple(sorted({*read.bad, *told.bad}, key=values)),
    )


def _without_ways(changes: list[Change], inside: set[bytes]) -> Iterator[Change]:
    """The changes without the folders that came or went because something in them did; `inside` are those in which
    something changed."""
    for change in changes:
        if _is_folder(change) and change.path in inside and (change.before is None or change.after is None):
            continue
        yield change


def _is_folder(change: Change) -> bool:
    return all(one is None or one.kind == DIRECTORY for one in (change.before, change.after))


def _folders(path: bytes) -> Iterator[bytes]:
    if path != ROOT_NAME:
        yield ROOT_NAME
    while b"/" in path:
        path = path.rpartition(b"/")[0]
        yield path


def _facts(prefix: str, old: dict[str, Any], new: dict[str, Any]) -> Iterator[FactChange]:
    for name in sorted(old.keys() | new.keys()):
        one, other = old.get(name), new.get(name)
        if one == other:
            continue
        if isinstance(one or other, dict) and isinstance(other or one, dict):
            yield from _facts(f"{prefix}{name}.", one or {}, other or {})
        else:
            yield FactChange(prefix + name, one, other)


def _declared(old: Iterable[Declared], new: Iterable[Declared]) -> list[PackageChange]:
    before = {(one.manager, one.name): one for one in old}
    after = {(one.manager, one.name): one for one in new}
    found = []
    for key in sorted(before.keys() | after.keys()):
        one, other = before.get(key), after.get(key)
        if one != other:
            found.append(PackageChange(_package(one), _package(other)))
    return found


def _package(one: Declared | None) -> Package | None:
    return None if one is None else Package(_KINDS.get(one.manager, one.manager), one.name, one.version, "", "")
