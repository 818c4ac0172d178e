"""Garbage collection: removes what no tag, kept history, registered lock or failure to look into needs.

What is needed is found first and the rest removed after, while nobody else uses the store. A collection that is
killed, or whose machine stops, leaves some garbage, never a hole: records go before what they name.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterable, Mapping

from envbuild.linux.rmtree import remove
from envbuild.record import Record
from envbuild.store.blobs import KEPT
from envbuild.store.clocks import KIND as LATEST
from envbuild.store.clocks import RETIMED
from envbuild.store.disk_usage import Report, measure, say_nothing
from envbuild.store.missing_objects import KIND as LOST
from envbuild.store.reachability import Needed, Pins, Policy, needed
from envbuild.store.step_cache import STAGES
from envbuild.store.step_logs import output_object
from envbuild.store.store import Store
from envbuild.store.trials import Trials
from envbuild.tree.entry import Digest

EVERYTHING = Policy()
"""The policy that keeps all of each tag's history."""
_FIXED = 1_000_000
"""Bytes that a store takes whatever it holds: its database's own pages, directories."""


class Freed(Record):
    """What was removed, or would be; `size` in bytes. `parts` are those of installations, which later ones begin
    with."""

    images: int
    steps: int
    parts: int
    trees: int
    layers: int
    objects: int
    size: int


def collect(
    store: Store,
    pins: Callable[[], Pins],
    policy: Policy = EVERYTHING,
    *,
    budget: int | None = None,
    dry_run: bool = False,
    wait: bool = True,
    going: Callable[[set[Digest]], None] = lambda images: None,
    report: Report = say_nothing,
) -> Freed:
    """Remove garbage: what neither tags, nor their history as far as `policy` keeps it, nor locks, nor failures, nor
    instances need.

    `pins` says what instances need; it is called while nobody else uses the store. With a `budget` in bytes nothing is
    removed as long as the store takes no more; if it does, first what was not used for the longest time of what is only
    cache, and what is needed never. `going` is called with the images that will be gone. Raises StoreInUse if others
    use the store and `wait` is False.
    """
    with store.alone(wait=wait):
        kept = _kept(store, policy, pins(), budget, report)
        if kept is None:
            return Freed(0, 0, 0, 0, 0, 0, 0)
        if dry_run:
            return _count(store, kept)
        going({digest for (digest,) in store.database.rows("SELECT digest FROM images")} - kept.images)
        return _remove(store, kept, pins, report)


def _kept(store: Store, policy: Policy, pins: Pins, budget: int | None, report: Report) -> Needed | None:
    """Return what stays; None if all of it does, as there is room."""
    if budget is None:
        return needed(store, policy, pins, report=report)
    total = measure(store, report)
    if total <= budget:
        return None
    sizes: dict[Digest, int] = {}
    for path, identity in _pooled(store):
        sizes[identity] = sizes.get(identity, 0) + os.lstat(path).st_blocks * 512
    # Layers are directories of hard links: what they take themselves is what the rest does not.
    counted = sum(sizes.values())
    overhead = max(0.0, (total - counted) / max(1, counted)) if counted else 0.0
    return _needed_within(store, policy, pins, int(budget / (1 + min(overhead, 1.0))), sizes, report)


def _needed_within(
    store: Store, policy: Policy, pins: Pins, budget: int, sizes: Mapping[Digest, int], report: Report
) -> Needed:
    """Return what is needed, and of the cache what was used last, as long as all of it takes no more than `budget`
    bytes. `sizes` are the bytes on disk of the pool's objects.

    Cache are the results of steps, also those that made images that are kept, files of packages, and the directories
    that steps keep caches in."""
    kept = needed(store, policy, pins, cache=False, report=report)
    packages, caches = _packages(store), _caches(store)
    kept.caches = set()
    total = _FIXED + sum(sizes.get(digest, 0) for digest in kept.objects)
    total += sum(size for name, (_, size) in packages.items() if name in kept.packages)
    total += sum(100 * len(store.trees.load(digest)) for digest in kept.trees)
    steps = store.database.rows("SELECT used, key, tree, output FROM steps")
    candidates: list[tuple[float, str, str, str, int]] = [
        (used, key, tree, output, 0) for used, key, tree, output in steps if key not in kept.keys
    ]
    candidates += [(used, name, "", "", size) for name, (used, size) in packages.items() if name not in kept.packages]
    candidates += [(used, name, "", "cache", size) for name, (used, size) in caches.items()]
    for _, name, tree, output, size in sorted(candidates, reverse=True):
        if total > budget:
            break
        if not tree:
            total += size
            if total <= budget:
                (kept.caches if output else kept.packages).add(name)
            continue
        if not store.trees.has(tree):
            continue
        was_root = tree in kept.roots
        kept.roots.add(tree)
        added, directories, records = kept.follow(store, stacks=False)
        printed = output_object(output)
        total += records + sum(sizes.get(digest, 0) for digest in (*added, printed))
        if total > budget:
            kept.objects -= added
            kept.trees -= directories
            if not was_root:
                kept.roots.discard(tree)
            break
        kept.objects.add(printed)
        kept.keys.add(name)
    kept.add_parts(store)
    kept.keep_whole_stacks(store)
    return kept


def _caches(store: Store) -> dict[str, tuple[float, int]]:
    """Return the directories of caches: when each was changed last at its top, and the bytes of its files."""
    caches = {}
    root = f"{store.path}/caches"
    for name in os.listdir(root):
        size = 0
        for where, _, names in os.walk(f"{root}/{name}"):
            size += sum(os.lstat(f"{where}/{inner}").st_blocks * 512 for inner in names)
        caches[name] = os.lstat(f"{root}/{name}").st_mtime, size
    return caches


def _packages(store: Store) -> dict[str, tuple[float, int]]:
    """Return the files of packages: when each was used last, as far as the file system says, and its bytes on disk."""
    if not os.path.isdir(store.packages_path):
        return {}
    packages = {}
    for name in os.listdir(store.packages_path):
        status = os.lstat(f"{store.packages_path}/{name}")
        packages[name] = max(status.st_atime, status.st_mtime), status.st_blocks * 512
    return packages


def _remove(store: Store, kept: Needed, pins: Callable[[], Pins], report: Report) -> Freed:
    database = store.database
    counted = _count(store, kept)
    layers = {row[0]: row[1] for row in database.rows("SELECT tree, layer FROM stacks")}
    kept_layers = {layers[tree] for tree in kept.stacks if tree in layers}
    with database.transaction():
        _delete(store, "images", "digest", kept.images)
        _delete(store, "steps", "key", kept.keys)
        database.write("DELETE FROM sources WHERE key NOT IN (SELECT key FROM steps)")
        _delete(store, "stacks", "tree", kept.stacks)
        _delete(store, "trees", "digest", kept.trees)
        store.promised.keep(kept.objects)
        database.write("DELETE FROM network WHERE tree NOT IN (SELECT digest FROM trees)")
        kept_trees = "(SELECT digest FROM trees)"
        database.write(f"DELETE FROM runs WHERE parent NOT IN {kept_trees} OR result NOT IN {kept_trees}")
        database.write("DELETE FROM memo WHERE kind = ?", (RETIMED,))
        for kind in ("size", STAGES, LATEST):
            database.write("DELETE FROM memo WHERE kind = ? AND key NOT IN (SELECT digest FROM trees)", (kind,))
        Trials(store.memo).forget_unused()
        for identity in store.lost.identities() - kept.objects - kept.trees:
            database.write("DELETE FROM memo WHERE kind = ? AND key = ?", (LOST, identity))
        for (path,) in database.rows("SELECT path FROM locks"):
            if not os.path.exists(path):
                database.write("DELETE FROM locks WHERE path = ?", (path,))
    store.trees.forget()
    store.stacks.forget()
    # Else a loss of power could bring the records back, and not what they name.
    store.sync()
    in_use = pins().layers
    present = os.listdir(store.stacks.path)
    for number, name in enumerate(present):
        report("layers", number, len(present))
        if name not in kept_layers and f"{store.stacks.path}/{name}" not in in_use:
            remove(f"{store.stacks.path}/{name}")
    size = 0
    pooled = _pooled(store)
    for number, (path, identity) in enumerate(pooled):
        report("files", number, len(pooled))
        if identity not in kept.objects:
            size += os.lstat(path).st_size
            os.unlink(path)
    for path in (*_unneeded_packages(store, kept), *_unneeded_blobs(store, kept)):
        size += os.lstat(path).st_size
        os.unlink(path)
    for image in store.signatures.images():
        if image not in kept.images:
            store.signatures.drop(image)
    if kept.caches is not None:
        for name in os.listdir(f"{store.path}/caches"):
            if name not in kept.caches:
                remove(f"{store.path}/caches/{name}")
    database.write("VACUUM")
    return counted.replace(size=size)


def _count(store: Store, kept: Needed) -> Freed:
    rows = store.database.rows
    layers = sum(1 for (tree,) in rows("SELECT tree FROM stacks") if tree not in kept.stacks)
    dead = [path for path, identity in _pooled(store) if identity not in kept.objects]
    packages = (*_unneeded_packages(store, kept), *_unneeded_blobs(store, kept))
    return Freed(
        images=sum(1 for (digest,) in rows("SELECT digest FROM images") if digest not in kept.images),
        steps=sum(1 for (key,) in rows("SELECT key FROM steps WHERE text != ''") if key not in kept.keys),
        parts=sum(1 for key, _ in store.steps.parts() if key not in kept.keys),
        trees=sum(1 for (digest,) in rows("SELECT digest FROM trees") if digest not in kept.trees),
        layers=layers,
        objects=len(dead),
        size=sum(os.lstat(path).st_size for path in (*dead, *packages)),
    )


def _delete(store: Store, table: str, column: str, kept: Iterable[str]) -> None:
    database = store.database
    database.write("CREATE TEMP TABLE kept (name TEXT PRIMARY KEY)")
    database.write_many("INSERT INTO kept VALUES (?)", [(name,) for name in kept])
    database.write(f"DELETE FROM {table} WHERE {column} NOT IN (SELECT name FROM kept)")
    database.write("DROP TABLE kept")


def _pooled(store: Store) -> list[tuple[str, Digest]]:
    """Return every inode of the pool, with the id of its object."""
    inodes = []
    for folder in sorted(os.listdir(store.objects.path)):
        for name in os.listdir(f"{store.objects.path}/{folder}"):
            inodes.append((f"{store.objects.path}/{folder}/{name}", folder + name.partition(".")[0]))
    return inodes


def _unneeded_packages(store: Store, kept: Needed) -> list[str]:
    """Return the files of packages that no registered lock names."""
    if not os.path.isdir(store.packages_path):
        return []
    names = sorted(set(os.listdir(store.packages_path)) - kept.packages)
    return [f"{store.packages_path}/{name}" for name in names]


def _unneeded_blobs(store: Store, kept: Needed) -> list[str]:
    """Return the layers that were exported and not used for long; all of them where room is short, as they are made
    again from trees."""
    return store.blobs.unused_since(time.time() - KEPT if kept.caches is None else float("inf"))
