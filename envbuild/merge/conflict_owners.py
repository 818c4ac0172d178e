"""The packages that conflicting paths belong to."""

from __future__ import annotations

import os

from envbuild.merge.conflict import Conflict
from envbuild.packages.inventory.owners import INFO, owners_of
from envbuild.store.store import Store
from envbuild.tree.entry import DIRECTORY, Digest, Entry
from envbuild.tree.lookup import LinkCircle, lookup

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

_LIST = b".list"
MAX_ASKED = 10_000
"""Paths whose package is looked for: of more, nobody reads the list."""


def with_owners(store: Store, conflicts: Sequence[Conflict], trees: Sequence[Digest]) -> list[Conflict]:
    """Return the conflicts with the packages of their paths, by the records of the first of `trees` that names one."""
    wanted = [conflict.path for conflict in conflicts if conflict.path and not conflict.package][:MAX_ASKED]
    if not wanted:
        return list(conflicts)
    owners: dict[bytes, str] = {}
    read: set[Entry] = set()
    for tree in trees:
        left = [path for path in wanted if path not in owners]
        if not left:
            break
        lists = _lists(store, tree)
        # Nearly all packages are in all of the trees, and own there what they own here.
        known = {_package(entry) for entry in lists if entry in read}
        owners |= owners_of(store, tree, left, known)
        read |= lists
    return [
        conflict.replace(package=owners[conflict.path])
        if not conflict.package and conflict.path in owners
        else conflict
        for conflict in conflicts
    ]


def _lists(store: Store, tree: Digest) -> set[Entry]:
    """Return dpkg's lists of files in a tree."""
    try:
        folder = lookup(store.trees, tree, INFO)
    except LinkCircle:
        return set()
    if folder is None or folder.kind != DIRECTORY:
        return set()
    return {entry for entry in store.trees.load(folder.digest) if entry.name.endswith(_LIST)}


def _package(entry: Entry) -> str:
    return os.fsdecode(entry.name.removesuffix(_LIST))
