"""The packages that conflicting paths belong to."""

from __future__ import annotations

from envbuild.merge.conflict import Conflict
from envbuild.packages.inventory.owners import owners_of
from envbuild.store.store import Store
from envbuild.tree.entry import Digest

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

MAX_ASKED = 10_000
"""Paths whose package is looked for: of more, nobody reads the list."""


def with_owners(store: Store, conflicts: Sequence[Conflict], trees: Sequence[Digest]) -> list[Conflict]:
    """Return the conflicts with the packages of their paths, by the records of the first of `trees` that names one."""
    wanted = [conflict.path for conflict in conflicts if conflict.path and not conflict.package][:MAX_ASKED]
    if not wanted:
        return list(conflicts)
    owners: dict[bytes, str] = {}
    for tree in trees:
        left = [path for path in wanted if path not in owners]
        if left:
            owners |= owners_of(store, tree, left)
    return [
        conflict.replace(package=owners[conflict.path])
        if not conflict.package and conflict.path in owners
        else conflict
        for conflict in conflicts
    ]
