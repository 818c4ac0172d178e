"""fsck: reads everything back, and says what is not what its digest says.

With repair, damaged files are moved to `damaged/` and every record that would lead to them is dropped, so that the
steps run again: what is damaged is never served.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Callable

from envbuild.digest import Sha256
from envbuild.linux.rmtree import remove
from envbuild.record import Record
from envbuild.store.database import NOT_ITSELF
from envbuild.store.disk_usage import Report
from envbuild.store.fetched import fetched_object
from envbuild.store.fsck_index import FsckIndex
from envbuild.store.owner import close_to_others
from envbuild.store.step_logs import output_object
from envbuild.store.store import Store
from envbuild.store.tags import REPAIR
from envbuild.store.upper import is_whiteout
from envbuild.tree.entry import DIRECTORY, FILE, ROOT_NAME, Digest, decode, digest_of, object_id
from envbuild.tree.lookup import lookup

DAMAGED = "damaged"
_CHUNK = 1 << 20
_TAGS_OF_NOTHING = "SELECT name, tag FROM tags WHERE image NOT IN (SELECT digest FROM images)"


class Problem(Record):
    """`kind` is database, tree, object, layer, step, image, tag or instance; `name` the digest, path or name; `reason`
    in words."""

    kind: str
    name: str
    reason: str


class Findings(Record):
    """What fsck found. `objects` and `size` (bytes) are what it read; `repaired` whether it mended."""

    problems: tuple[Problem, ...]
    trees: int
    objects: int
    layers: int
    size: int
    repaired: bool


def check(
    store: Store,
    check_instances: Callable[[bool], list[Problem]],
    report: Report,
    *,
    repair: bool = False,
) -> Findings:
    """Read the whole store. The process should be in its user namespace, to read what belongs to others.

    `check_instances` finds and, if it is told to, mends what is wrong with instances. `report` is called often with
    what is being read, how many of them are read, and how many there are.
    """
    with store.alone(wait=True):
        if not store.database.read_only:
            close_to_others(store.path, thorough=True)
        with FsckIndex() as index:
            return _Check(store, index, report).run(check_instances, repair)


class _Check:
    def __init__(self, store: Store, index: FsckIndex, report: Report) -> None:
        self._store = store
        self._index = index
        self._report = report
        self._problems: list[Problem] = []
        self._bad_trees: set[Digest] = set()
        self._bad_objects: set[Digest] = set()
        self._bad_layers: set[str] = set()
        self._bad_files: list[str] = []
        self._size = 0
        self._count = {"trees": 0, "objects": 0, "layers": 0}

    def run(self, check_instances: Callable[[bool], list[Problem]], repair: bool) -> Findings:
        self._database()
        self._trees()
        self._objects()
        lost = set(self._bad_objects)
        promised = self._store.promised.identities()
        for identity, name in self._index.missing():
            if identity in promised:
                continue  # its package has it, and it is checked when it is brought
            self._tell("object", identity, f"missing ({name.decode(errors='backslashreplace')})")
            lost.add(identity)
        for identity in lost:
            self._bad_trees.update(self._index.holders(identity))
        self._spread()
        self._layers()
        self._records()
        self._problems += check_instances(repair)
        if repair and self._problems:
            self._repair()
        return Findings(
            tuple(self._problems),
            self._count["trees"],
            self._count["objects"],
            self._count["layers"],
            self._size,
            repair and bool(self._problems),
        )

    def _tell(self, kind: str, name: str, reason: str) -> None:
        self._problems.append(Problem(kind, name, reason))

    def _database(self) -> None:
        for (line,) in self._store.database.rows("PRAGMA quick_check"):
            if line != "ok":
                self._tell("database", "store.db", line)

    def _trees(self) -> None:
        known = {row[0] for row in self._store.database.rows("SELECT digest FROM trees")}
        for digest in known:
            self._report("directories", self._count["trees"], len(known))
            row = self._store.database.row("SELECT body FROM trees WHERE digest = ?", (digest,))
            self._count["trees"] += 1
            if row is None or not isinstance(row[0], bytes) or digest_of(row[0]) != digest:
                self._tell("tree", digest, "not what its digest says")
                self._bad_trees.add(digest)
                continue
            try:
                entries = decode(row[0])
            except ValueError as error:
                self._tell("tree", digest, f"no directory: {error}")
                self._bad_trees.add(digest)
                continue
            self._index.add_tree(digest, entries)
            for entry in entries:
                if entry.kind == DIRECTORY and entry.name != ROOT_NAME and entry.digest not in known:
                    self._tell("tree", entry.digest, f"missing, and {digest[:12]} names it")
                    self._bad_trees.add(digest)
        self._index.all_trees_added()

    def _objects(self) -> None:
        pool = self._store.objects.path
        self._outputs = {output_object(row[0]) for row in self._store.database.rows("SELECT output FROM steps")}
        folders = sorted(os.listdir(pool))
        for number, folder in enumerate(folders):
            for name in sorted(os.listdir(f"{pool}/{folder}")):
                self._report("files", number, len(folders))
                path = f"{pool}/{folder}/{name}"
                identity = folder + name.partition(".")[0]
                self._count["objects"] += 1
                status = os.lstat(path)
                self._index.add_inode(status.st_dev, status.st_ino, identity)
                reason = self._object_reason(path, identity, status)
                if reason:
                    self._tell("object", folder + name, reason)
                    self._bad_objects.add(identity)
                    self._bad_files.append(path)

    def _object_reason(self, path: str, identity: Digest, status: os.stat_result) -> str:
        if not stat.S_ISREG(status.st_mode):
            return "not a file"
        digest = self._hash(path)
        expected = self._index.expected(identity)
        if expected is None:
            if identity in self._outputs and identity not in (output_object(digest), fetched_object(digest)):
                return f"its content {NOT_ITSELF}"
            # Else it is what is left of a command that was killed: gc removes it.
            return ""
        if digest != expected.digest:
            return f"its content {NOT_ITSELF}"
        if stat.S_IMODE(status.st_mode) != expected.mode or status.st_mtime_ns != expected.mtime:
            return "its mode or time was changed"
        if self._store.owners_observable and (status.st_uid, status.st_gid) != (expected.uid, expected.gid):
            return "its owner was changed"
        return ""

    def _hash(self, path: str) -> Digest:
        state = Sha256()
        with open(path, "rb") as file:
            while chunk := file.read(_CHUNK):
                state.update(chunk)
                self._size += len(chunk)
        return state.hexdigest()

    def _spread(self) -> None:
        """Mark all directories that something damaged lies in: they are damaged, too."""
        pending = list(self._bad_trees)
        while pending:
            for parent in self._index.parents(pending.pop()):
                if parent not in self._bad_trees:
                    self._bad_trees.add(parent)
                    pending.append(parent)

    def _layers(self) -> None:
        path = self._store.stacks.path
        stacks = self._store.database.rows("SELECT tree, layer FROM stacks")
        for tree, layer in stacks:
            self._report("layers", self._count["layers"], len(stacks))
            self._count["layers"] += 1
            if not os.path.isdir(f"{path}/{layer}"):
                self._tell("layer", layer, "missing")
                self._bad_layers.add(layer)
            elif tree not in self._bad_trees and self._store.trees.has(tree):
                reason = self._layer_reason(f"{path}/{layer}", tree)
                if reason:
                    self._tell("layer", layer, reason)
                    self._bad_layers.add(layer)

    def _layer_reason(self, folder: str, tree: Digest) -> str:
        """Return why a layer is damaged, "" if it is not: every file has to be the pool's inode for its tree's
        entry."""
        for where, _, names in os.walk(folder):
            for name in names:
                full = f"{where}/{name}"
                status = os.lstat(full)
                inside = os.fsencode(full[len(folder) + 1 :])
                entry = lookup(self._store.trees, tree, inside, follow=False)
                if is_whiteout(status):
                    if entry is not None:
                        return f"it hides /{os.fsdecode(inside)}"
                elif entry is None:
                    return f"/{os.fsdecode(inside)} is not in its tree"
                elif entry.kind == FILE and self._index.identity_of(status.st_dev, status.st_ino) != object_id(entry):
                    return f"/{os.fsdecode(inside)} is another file than its tree says"
        return ""

    def _records(self) -> None:
        database = self._store.database
        for key, tree in database.rows("SELECT key, tree FROM steps"):
            if tree in self._bad_trees or not self._store.trees.has(tree):
                self._tell("step", key, "its tree is damaged or missing")
        for digest, tree in database.rows("SELECT digest, tree FROM images"):
            if tree in self._bad_trees or not self._store.trees.has(tree):
                self._tell("image", digest, "its tree is damaged or missing")
        for name, tag in database.rows(_TAGS_OF_NOTHING):
            self._tell("tag", self._store.projects.shown(f"{name}:{tag}"), "its image is gone; build it again")

    def _repair(self) -> None:
        store = self._store
        aside = f"{store.path}/{DAMAGED}"
        os.makedirs(aside, mode=0o700, exist_ok=True)
        with store.database.transaction():
            for tree in self._bad_trees:
                for table, column in (("steps", "tree"), ("images", "tree"), ("trees", "digest"), ("failures", "tree")):
                    store.database.write(f"DELETE FROM {table} WHERE {column} = ?", (tree,))
            for table in ("steps", "images", "failures"):
                store.database.write(f"DELETE FROM {table} WHERE tree NOT IN (SELECT digest FROM trees)")
            for name, tag in store.database.rows(_TAGS_OF_NOTHING):
                store.tags.remove(name, tag, REPAIR, force=True)
            self._drop_stacks()
        store.trees.forget()
        store.stacks.forget()
        for path in self._bad_files:
            os.rename(path, f"{aside}/{os.urandom(4).hex()}-{os.path.basename(path)}")
        for layer in self._bad_layers:
            remove(f"{store.stacks.path}/{layer}")

    def _drop_stacks(self) -> None:
        """Drop the stacks that hold a bad layer or a damaged tree, and all that are built on them."""
        rows = self._store.database.rows("SELECT tree, below, layer FROM stacks")
        dropped = {tree for tree, _, layer in rows if tree in self._bad_trees or layer in self._bad_layers}
        grown = True
        while grown:
            more = {tree for tree, below, _ in rows if below in dropped} - dropped
            dropped |= more
            grown = bool(more)
        for tree, _, layer in rows:
            if tree in dropped:
                self._bad_layers.add(layer)
                self._store.database.write("DELETE FROM stacks WHERE tree = ?", (tree,))
