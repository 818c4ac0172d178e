"""Garbage collection: removes what no tag, kept history, registered lock or failure to look into needs.

What is needed is found first and the rest removed after, while nobody else uses the store. A collection that is
killed, or whose machine stops, leaves some garbage, never a hole: records go before what they name.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterable

from envbuild.record import Record
from envbuild.store.fetched import FETCHED, PACKAGE, fetched_object
from envbuild.store.lost import KIND as LOST
from envbuild.store.outputs import output_object
from envbuild.store.removal import remove
from envbuild.store.store import Store
from envbuild.tree.entry import DIRECTORY, FILE, Digest, object_id


class Freed(Record):
    """What was removed, or would be; `size` in bytes."""

    images: int
    steps: int
    trees: int
    layers: int
    objects: int
    size: int


class _Needed:
    def __init__(self) -> None:
        self.images: set[Digest] = set()
        self.keys: set[str] = set()
        self.roots: set[Digest] = set()
        self.trees: set[Digest] = set()
        self.objects: set[Digest] = set()
        self.packages: set[str] = set()
        self.stacks: set[Digest] = set()


def collect(store: Store, *, keep_history: int | None = None, dry_run: bool = False, wait: bool = True) -> Freed:
    """Removes garbage. `keep_history` is how many past images of each tag stay (None: all that it ever named).

    Raises StoreInUse if others use the store and `wait` is False.
    """
    with store.alone(wait=wait):
        needed = _needed(store, keep_history)
        return _count(store, needed) if dry_run else _remove(store, needed)


def _needed(store: Store, keep_history: int | None) -> _Needed:
    needed = _Needed()
    for tag in store.tags.all():
        needed.images.add(tag.image)
        past = store.database.rows(
            "SELECT image FROM history WHERE name = ? AND tag = ? AND image IS NOT NULL ORDER BY number DESC LIMIT ?",
            (tag.name, tag.tag, -1 if keep_history is None else keep_history + 1),
        )
        needed.images.update(row[0] for row in past)
    for digest in needed.images:
        image = store.images.get(digest)
        if image is None:
            continue
        needed.roots.add(image.tree)
        detail = json.loads(image.detail)
        if "sources" in detail:
            needed.roots.add(detail["sources"]["tree"])
        for stage in detail.get("stages", []):
            needed.roots.add(stage["tree"])
            for step in stage["steps"]:
                needed.keys.add(step["key"])
                needed.roots.add(step["tree"])
                needed.objects.add(output_object(step["output"]))
    for path, keys, trees in store.database.rows("SELECT path, keys, trees FROM locks"):
        if os.path.exists(path):
            needed.keys.update(keys.split())
            for name in trees.split():
                if name.startswith(PACKAGE):
                    needed.packages.add(name.removeprefix(PACKAGE).replace(":", "-"))
                elif name.startswith(FETCHED):
                    needed.objects.add(fetched_object(name.removeprefix(FETCHED)))
                else:
                    needed.roots.add(name)
    for tree, detail in store.database.rows("SELECT tree, detail FROM failures"):
        needed.roots.add(tree)
        needed.objects.add(output_object(json.loads(detail)["output"]))
    for key in needed.keys:
        record = store.steps.get(key)
        if record is not None:
            needed.roots.add(record.tree)
            needed.objects.add(output_object(record.output))
    _follow(store, needed)
    return needed


def _follow(store: Store, needed: _Needed) -> None:
    """From roots to all directories and files, and to the layers that mount them."""
    for root in list(needed.roots):
        for tree, _ in store.stacks.chain(root):
            needed.stacks.add(tree)
            needed.roots.add(tree)
    pending = list(needed.roots)
    while pending:
        digest = pending.pop()
        if digest in needed.trees or not store.trees.has(digest):
            continue
        needed.trees.add(digest)
        for entry in store.trees.load(digest):
            if entry.kind == DIRECTORY and entry.digest:
                pending.append(entry.digest)
            elif entry.kind == FILE:
                needed.objects.add(object_id(entry))


def _remove(store: Store, needed: _Needed) -> Freed:
    database = store.database
    counted = _count(store, needed)
    layers = {row[0]: row[1] for row in database.rows("SELECT tree, layer FROM stacks")}
    kept_layers = {layers[tree] for tree in needed.stacks if tree in layers}
    with database.transaction():
        _delete(store, "images", "digest", needed.images)
        _delete(store, "steps", "key", needed.keys)
        database.write("DELETE FROM sources WHERE key NOT IN (SELECT key FROM steps)")
        _delete(store, "stacks", "tree", needed.stacks)
        _delete(store, "trees", "digest", needed.trees)
        database.write("DELETE FROM memo WHERE kind = 'size' AND key NOT IN (SELECT digest FROM trees)")
        for identity in store.lost.identities() - needed.objects - needed.trees:
            database.write("DELETE FROM memo WHERE kind = ? AND key = ?", (LOST, identity))
        for (path,) in database.rows("SELECT path FROM locks"):
            if not os.path.exists(path):
                database.write("DELETE FROM locks WHERE path = ?", (path,))
    store.trees.forget()
    store.stacks.forget()
    # Else a loss of power could bring the records back, and not what they name.
    store.sync()
    for name in os.listdir(store.stacks.path):
        if name not in kept_layers:
            remove(f"{store.stacks.path}/{name}")
    size = 0
    for path, identity in _pooled(store):
        if identity not in needed.objects:
            size += os.lstat(path).st_size
            os.unlink(path)
    for path in _unneeded_packages(store, needed):
        size += os.lstat(path).st_size
        os.unlink(path)
    database.write("VACUUM")
    return counted.replace(size=size)


def _count(store: Store, needed: _Needed) -> Freed:
    rows = store.database.rows
    layers = sum(1 for (tree,) in rows("SELECT tree FROM stacks") if tree not in needed.stacks)
    dead = [path for path, identity in _pooled(store) if identity not in needed.objects]
    packages = _unneeded_packages(store, needed)
    return Freed(
        images=sum(1 for (digest,) in rows("SELECT digest FROM images") if digest not in needed.images),
        steps=sum(1 for (key,) in rows("SELECT key FROM steps") if key not in needed.keys),
        trees=sum(1 for (digest,) in rows("SELECT digest FROM trees") if digest not in needed.trees),
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
    """Every inode of the pool, with the id of its object."""
    found = []
    for folder in sorted(os.listdir(store.objects.path)):
        for name in os.listdir(f"{store.objects.path}/{folder}"):
            found.append((f"{store.objects.path}/{folder}/{name}", folder + name.partition(".")[0]))
    return found


def _unneeded_packages(store: Store, needed: _Needed) -> list[str]:
    """The files of packages that no registered lock names."""
    if not os.path.isdir(store.packages_path):
        return []
    names = sorted(set(os.listdir(store.packages_path)) - needed.packages)
    return [f"{store.packages_path}/{name}" for name in names]
