"""A store within a size: what is only cache is kept as far as there is room, that which was used last first."""

from __future__ import annotations

import os
from collections.abc import Mapping

from envbuild.store.reachability import Needed, Policy, needed
from envbuild.store.step_logs import output_object
from envbuild.store.store import Store
from envbuild.tree.entry import Digest

_FIXED = 1_000_000
"""Bytes that a store takes whatever it holds: its database's own pages, folders."""


def needed_within(store: Store, policy: Policy, budget: int, sizes: Mapping[Digest, int]) -> Needed:
    """What tags, kept history, locks and failures need, and of the cache what was used last, as long as all of it takes
    no more than `budget` bytes. `sizes` are the bytes on disk of the pool's objects.

    Cache are the results of steps, also those that made images that are kept, files of packages, and the folders that
    steps keep caches in.
    """
    found = needed(store, policy, cache=False)
    packages, caches = _packages(store), _caches(store)
    found.caches = set()
    total = _FIXED + sum(sizes.get(one, 0) for one in found.objects)
    total += sum(size for name, (_, size) in packages.items() if name in found.packages)
    total += sum(100 * len(store.trees.load(one)) for one in found.trees)
    steps = store.database.rows("SELECT used, key, tree, output FROM steps")
    candidates: list[tuple[float, str, str, str, int]] = [
        (used, key, tree, output, 0) for used, key, tree, output in steps if key not in found.keys
    ]
    candidates += [(used, name, "", "", size) for name, (used, size) in packages.items() if name not in found.packages]
    candidates += [(used, name, "", "cache", size) for name, (used, size) in caches.items()]
    for _, name, tree, output, size in sorted(candidates, reverse=True):
        if total > budget:
            break
        if not tree:
            total += size
            if total <= budget:
                (found.caches if output else found.packages).add(name)
            continue
        if not store.trees.has(tree):
            continue
        was_root = tree in found.roots
        found.roots.add(tree)
        added, directories, records = found.follow(store, stacks=False)
        printed = output_object(output)
        total += records + sum(sizes.get(one, 0) for one in (*added, printed))
        if total > budget:
            found.objects -= added
            found.trees -= directories
            if not was_root:
                found.roots.discard(tree)
            break
        found.objects.add(printed)
        found.keys.add(name)
    found.keep_whole_stacks(store)
    return found


def _caches(store: Store) -> dict[str, tuple[float, int]]:
    """The folders of caches: when each was changed last at its top, and the bytes of its files."""
    found = {}
    root = f"{store.path}/caches"
    for name in os.listdir(root):
        size = 0
        for where, _, names in os.walk(f"{root}/{name}"):
            size += sum(os.lstat(f"{where}/{one}").st_blocks * 512 for one in names)
        found[name] = os.lstat(f"{root}/{name}").st_mtime, size
    return found


def _packages(store: Store) -> dict[str, tuple[float, int]]:
    """The files of packages: when each was used last, as far as the file system says, and its bytes on disk."""
    if not os.path.isdir(store.packages_path):
        return {}
    found = {}
    for name in os.listdir(store.packages_path):
        status = os.lstat(f"{store.packages_path}/{name}")
        found[name] = max(status.st_atime, status.st_mtime), status.st_blocks * 512
    return found
