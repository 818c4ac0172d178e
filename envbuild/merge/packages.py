"""The packages that both sides changed: those in two versions conflict once, with all of their files."""

from __future__ import annotations

import os

from envbuild.history.package_changes import Package, PackageChange, package_changes
from envbuild.history.package_owners import package_owners
from envbuild.merge.caches import is_cache
from envbuild.merge.choices import Choices
from envbuild.merge.conflict import ABSENT, PACKAGE, Conflict, Sides
from envbuild.merge.drivers import driver_of
from envbuild.merge.marks import marked_names
from envbuild.packages.inventory.bad_record import BadRecord
from envbuild.packages.inventory.component import DPKG, NODE, PYTHON
from envbuild.record import Record
from envbuild.store.store import Store
from envbuild.tree.diff import Change
from envbuild.tree.entry import Digest
from envbuild.tree.lookup import LinkCircle, lookup

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

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
    store: Store, ours: Iterable[Change], theirs: Iterable[Change], marks: Sequence[bytes], choices: Choices
) -> list[Contested]:
    """Return the packages that both sides changed, and differently, by their own records among the changes. What can't
    be read of these is no package's record. `marks` are apt's in the three trees: to ask for a package by name that was
    there for others is a change, too."""
    sides = [
        {_identity(change.package): change for change in package_changes(store, changes).changes}
        for changes in (ours, theirs)
    ]
    contested = []
    for identity in sorted(sides[0].keys() & sides[1].keys()):
        left, right = sides[0][identity], sides[1][identity]
        versions = [None if change.new is None else change.new.version for change in (left, right)]
        if versions[0] != versions[1]:
            package = Contested(left.old, left.new, right.new)
            contested.append(package.replace(side=choices.side_of(*package.names)))
    names = [marked_names(content) for content in marks]
    for number, side in enumerate(sides):
        for change in side.values():
            old = change.old
            if change.new is not None or old is None or old.kind != DPKG or _identity(old) in sides[1 - number]:
                continue
            name = os.fsencode(old.name.partition(":")[0])
            if name in names[0] and name not in names[2 - number]:
                package = Contested(old, None, old) if number == 0 else Contested(old, old, None)
                contested.append(package.replace(side=choices.side_of(*package.names)))
    return contested


def _identity(package: Package) -> Identity:
    if package.kind == PYTHON:
        return package.kind, package.where, package.name.lower().replace("_", "-").replace(".", "-")
    return package.kind, package.where, package.name


def owned_paths(
    store: Store, ours: Digest, theirs: Digest, contested: list[Contested], collisions: Iterable[Collision]
) -> dict[bytes, int]:
    """Return the paths of contested packages, each with the package's number in the list. Of a Node package it is its
    directory.

    A path belongs to the package if each side that has it says so: whoever made one of the sides can't claim what the
    other has of its own. What is merged by records is nobody's.
    """
    changes = [Change(collision.path, collision.ours, collision.theirs) for collision in collisions]
    claims = []
    for tree, packages in ((ours, [package.ours for package in contested]), (theirs, [p.theirs for p in contested])):
        numbers = [number for number, package in enumerate(packages) if package is not None]
        pairs = [PackageChange(None, packages[number]) for number in numbers]
        bad: list[BadRecord] = []
        owners, _ = package_owners(store, (tree, tree), pairs, changes, bad, sums=False)
        claims.append({os.fsencode(path): numbers[owned.number] for path, owned in owners.items()})
    paths: dict[bytes, int] = {}
    for path, number in (*claims[0].items(), *claims[1].items()):
        if contested[number].package.kind == NODE:
            continue
        sides = zip(claims, (ours, theirs), strict=True)
        if is_path(path) and all(said.get(path) == number or not _has(store, tree, path) for said, tree in sides):
            paths[path] = number
    for number, package in enumerate(contested):
        if package.package.kind == NODE:
            paths[os.fsencode(package.package.record).rpartition(b"/")[0]] = number
    return {path: number for path, number in paths.items() if driver_of(path) is None and not is_cache(path)}


def is_path(path: bytes) -> bool:
    """Return whether each part of a path is a name: records of packages may say anything."""
    return b"\0" not in path and not any(part in (b"", b".", b"..") for part in path.split(b"/"))


def _has(store: Store, tree: Digest, path: bytes) -> bool:
    try:
        return lookup(store.trees, tree, path, follow=False) is not None
    except LinkCircle:
        return True


def conflict_of(package: Contested, paths: Iterable[bytes]) -> Conflict:
    """Return the conflict of a package, which the paths belong to that collide."""
    sides = (package.base, package.ours, package.theirs)
    versions = Sides(*(ABSENT if side is None else side.version for side in sides))
    full = f"{package.package.kind} {package.name}"
    where = f" in /{package.package.where}" if package.package.where else ""
    return Conflict(PACKAGE, b"", package.name, versions, package=full + where, paths=tuple(sorted(paths)))
