"""The packages that both sides changed: those in two versions conflict once, with all of their files."""

from __future__ import annotations

from envbuild.history.package_changes import Package, PackageChange, package_changes
from envbuild.history.package_owners import package_owners
from envbuild.merge.choices import Choices
from envbuild.merge.conflict import ABSENT, PACKAGE, Conflict, Sides
from envbuild.packages.inventory.bad_record import BadRecord
from envbuild.packages.inventory.component import NODE, PYTHON
from envbuild.record import Record
from envbuild.store.store import Store
from envbuild.tree.diff import Change, diff, expanded
from envbuild.tree.entry import Digest

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable

    from envbuild.merge.three_way import Collision

    Identity = tuple[str, str, str]


class Contested(Record):
    """A package that both sides changed to different versions, or that one removed and the other changed: None where a
    side does not have it. `side` is the one that was chosen, "" for none."""

    base: Package | None
    ours: Package | None
    theirs: Package | None
    side: str = ""

    @property
    def package(self) -> Package:
        package = self.ours or self.theirs
        assert package is not None
        return package

    @property
    def name(self) -> str:
        """The package's name, without dpkg's architecture."""
        return self.package.name.partition(":")[0]

    @property
    def names(self) -> tuple[str, ...]:
        """All that it may be called in an option."""
        package = self.package
        own = (self.name, package.name, f"{package.kind}:{self.name}", f"{package.kind}:{package.name}")
        return (*own, f"{package.kind}:/{package.where}/{self.name}") if package.where else own


def contested_packages(
    store: Store, base: Digest, ours: Digest, theirs: Digest, choices: Choices
) -> tuple[list[Contested], list[BadRecord]]:
    """Return the packages that both sides changed, and differently, by their own records in the trees."""
    sides = []
    bad: list[BadRecord] = []
    for tree in (ours, theirs):
        read = package_changes(store, expanded(store.trees, diff(store.trees, base, tree)))
        bad += read.bad
        sides.append({_identity(change.package): change for change in read.changes})
    contested = []
    for identity in sorted(sides[0].keys() & sides[1].keys()):
        left, right = sides[0][identity], sides[1][identity]
        versions = [None if change.new is None else change.new.version for change in (left, right)]
        if versions[0] != versions[1]:
            package = Contested(left.old, left.new, right.new)
            contested.append(package.replace(side=choices.side_of(*package.names)))
    return contested, bad


def _identity(package: Package) -> Identity:
    if package.kind == PYTHON:
        return package.kind, package.where, package.name.lower().replace("_", "-").replace(".", "-")
    return package.kind, package.where, package.name


def owned_paths(
    store: Store, ours: Digest, theirs: Digest, contested: list[Contested], collisions: Iterable[Collision]
) -> dict[bytes, int]:
    """Return the paths of contested packages in either tree, each with the package's number in the list. Of a Node
    package it is its directory."""
    pairs = [PackageChange(package.ours, package.theirs) for package in contested]
    changes = [Change(collision.path, collision.ours, collision.theirs) for collision in collisions]
    bad: list[BadRecord] = []
    owners, _ = package_owners(store, (ours, theirs), pairs, changes, bad, sums=False)
    paths = {path.encode("utf-8", "surrogateescape"): owned.number for path, owned in owners.items()}
    for number, package in enumerate(contested):
        if package.package.kind == NODE:
            folder = package.package.record.rpartition("/")[0].encode("utf-8", "surrogateescape")
            paths = {path: owner for path, owner in paths.items() if not path.startswith(folder + b"/")}
            paths[folder] = number
    return paths


def conflict_of(package: Contested, paths: Iterable[bytes]) -> Conflict:
    """Return the conflict of a package, which the paths belong to that collide."""
    sides = (package.base, package.ours, package.theirs)
    versions = Sides(*(ABSENT if side is None else side.version for side in sides))
    full = f"{package.package.kind} {package.name}"
    where = f" in /{package.package.where}" if package.package.where else ""
    return Conflict(PACKAGE, b"", package.name, versions, package=full + where, paths=tuple(sorted(paths)))
