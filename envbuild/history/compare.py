"""The comparison of two environments, sorted by what a reader wants to know first."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from envbuild.history.operand import Declared, Operand, first_lines
from envbuild.history.package_attribution import attribute
from envbuild.history.package_changes import Package, PackageChange, package_changes
from envbuild.packages.inventory.bad_record import BadRecord
from envbuild.packages.registry import KINDS
from envbuild.record import Record, values
from envbuild.store.store import Store
from envbuild.tree.diff import Change, aspects, diff, expanded
from envbuild.tree.entry import DIRECTORY, ROOT_NAME, Digest

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any


class FactChange(Record):
    """A fact that differs, by its name (`env.PATH`, `user`); None if a side does not have it."""

    name: str
    old: Any
    new: Any


class PackageDifference(Record):
    """A package that differs, with the changed paths that it explains."""

    change: PackageChange
    changes: tuple[Change, ...] = ()


class Comparison(Record):
    """The differences between `old` and `new`.

    `packages` fold the paths that they explain. `records` are files of the package managers themselves, `times` paths
    of which only the time differs, `rest` all others: what no package explains. `parents` are directories that differ
    only because something in them does. All are sorted by path. If only a side's lock is known (`whole` is False),
    there are only the packages that recipes declare, and no paths.
    """

    old: Operand
    new: Operand
    whole: bool
    facts: tuple[FactChange, ...] = ()
    packages: tuple[PackageDifference, ...] = ()
    records: tuple[Change, ...] = ()
    times: tuple[Change, ...] = ()
    rest: tuple[Change, ...] = ()
    parents: tuple[Change, ...] = ()
    bad: tuple[BadRecord, ...] = ()

    @property
    def same(self) -> bool:
        """Whether both are known to be the same image, or to have equal contents if one is not an image."""
        if self.old.image and self.new.image:
            # Two locks that name one image and other packages contradict each other: a merge left that.
            return self.old.image == self.new.image and (self.whole or not self.packages)
        return self.whole and (self.old.tree, self.old.facts) == (self.new.tree, self.new.facts)

    @property
    def unknown(self) -> bool:
        """Whether it can't be told if both are the same image: the image of one is unknown, and all that is known of
        both is equal."""
        if self.whole or (self.old.image and self.new.image):
            return False
        return not self.packages and first_lines(self.old) == first_lines(self.new)

    @property
    def changes(self) -> list[Change]:
        """All changed paths, sorted."""
        folded = [change for package in self.packages for change in package.changes]
        return sorted([*folded, *self.records, *self.times, *self.rest, *self.parents], key=lambda change: change.path)


class FolderCount(Record):
    """The number of changed paths in one top directory, and the bytes of their files before and after."""

    folder: str
    added: int
    removed: int
    changed: int
    old_size: int
    new_size: int


def compare(store: Store, old: Operand, new: Operand) -> Comparison:
    """Compare two environments. Raises StoreDamaged if the store lacks a part of them."""
    if old.tree is None or new.tree is None:
        packages = tuple(PackageDifference(change) for change in _declared(old.packages, new.packages))
        return Comparison(old, new, False, (), packages)
    facts = tuple(_facts("", old.facts or {}, new.facts or {}))
    return _trees(store, Comparison(old, new, True, facts), old.tree, new.tree)


def by_folder(changes: Iterable[Change]) -> list[FolderCount]:
    """Return a count for each top directory with changes, sorted; files at the root itself count as `/`."""
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
    packages = list(read.changes)
    attribution = attribute(store, (old, new), packages, changes)
    rest: list[Change] = []
    times: list[Change] = []
    for change in attribution.rest:
        (times if aspects(change) == ("time",) else rest).append(change)
    # A directory's time is that of the last change inside it.
    inside = {folder for change in changes for folder in _folders(change.path)}
    shown_times = [change for change in times if not (_is_folder(change) and change.path in inside)]
    shown = list(_without_parents(rest, inside))
    kept = {change.path for change in (*shown_times, *shown)}
    return comparison.replace(
        packages=tuple(
            PackageDifference(change, tuple(attribution.of.get(n, ()))) for n, change in enumerate(packages)
        ),
        records=tuple(attribution.records),
        times=tuple(shown_times),
        rest=tuple(shown),
        parents=tuple(change for change in (*times, *rest) if change.path not in kept),
        bad=tuple(sorted({*read.bad, *attribution.bad}, key=values)),
    )


def _without_parents(changes: list[Change], inside: set[bytes]) -> Iterator[Change]:
    """Yield the changes without directories that were added or removed because something in them was; `inside` are the
    directories in which something changed."""
    for change in changes:
        if _is_folder(change) and change.path in inside and (change.before is None or change.after is None):
            continue
        yield change


def _is_folder(change: Change) -> bool:
    return all(entry is None or entry.kind == DIRECTORY for entry in (change.before, change.after))


def _folders(path: bytes) -> Iterator[bytes]:
    if path != ROOT_NAME:
        yield ROOT_NAME
    while b"/" in path:
        path = path.rpartition(b"/")[0]
        yield path


def _facts(prefix: str, old: dict[str, Any], new: dict[str, Any]) -> Iterator[FactChange]:
    for name in sorted(old.keys() | new.keys()):
        before, after = old.get(name), new.get(name)
        if before == after:
            continue
        if isinstance(before or after, dict) and isinstance(after or before, dict):
            yield from _facts(f"{prefix}{name}.", before or {}, after or {})
        else:
            yield FactChange(prefix + name, before, after)


def _declared(old: Iterable[Declared], new: Iterable[Declared]) -> list[PackageChange]:
    before = {(package.manager, package.name): package for package in old}
    after = {(package.manager, package.name): package for package in new}
    keys = sorted(before.keys() | after.keys())
    pairs = ((before.get(key), after.get(key)) for key in keys)
    return [PackageChange(_package(left), _package(right)) for left, right in pairs if left != right]


def _package(declared: Declared | None) -> Package | None:
    if declared is None:
        return None
    return Package(KINDS.get(declared.manager, declared.manager), declared.name, declared.version, "", "")
