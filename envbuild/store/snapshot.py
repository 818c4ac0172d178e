"""Snapshots: what a command left in overlayfs' upper directory becomes a tree, and the directory its layer."""

from __future__ import annotations

import os
import stat
from collections.abc import Sequence

from envbuild.linux.attributes import OPAQUE, OVERLAY_PREFIX, read_xattrs, with_attributes
from envbuild.linux.rmtree import remove
from envbuild.linux.sparse_files import Allowance
from envbuild.record import Record
from envbuild.store.database import Database
from envbuild.store.layer_check import hash_of
from envbuild.store.objects import Objects
from envbuild.store.stacks import Mark, Occurrences, Stacks, mark, whiteout
from envbuild.store.trees import StoredTrees, TreeBatch
from envbuild.tree.diff import own
from envbuild.tree.entry import DIRECTORY, FIFO, FILE, LINK, ROOT_NAME, Digest, Entry, object_id
from envbuild.tree.lookup import root_entry
from envbuild.tree.patterns import Matcher
from envbuild.tree.times import StepTimes

_TMP = "tmp/"


class Snapshot(Record):
    """The tree that came out; how many files are new or changed, and their bytes."""

    tree: Digest
    files: int
    size: int


def take(
    upper: str,
    parent: Digest,
    *,
    times: StepTimes,
    discard: Matcher | None,
    made: Sequence[str],
    owners_observable: bool,
    database: Database,
    trees: StoredTrees,
    objects: Objects,
    occurrences: Occurrences,
    stacks: Stacks,
    allowance: Allowance | None = None,
) -> Snapshot:
    """Return the tree that `upper` makes of `parent`; `upper` itself becomes a layer, or is used up.

    Files have the times that `times` gives them; of all else none is later than its epoch. Paths that `discard` matches
    are left out, and so are the mount points `made` while they are empty. With `owners_observable` False a path keeps
    the owner that its parent's tree has.
    Raises TooSparse and TookTooLong where `allowance` ends.
    """
    mounts = frozenset(path.strip("/") for path in made)
    batch = TreeBatch(trees)
    scan = _Scan(
        upper,
        times,
        discard,
        mounts,
        owners_observable,
        parent,
        batch,
        objects,
        occurrences,
        allowance or Allowance(),
    )
    tree = scan.root()
    with database.transaction():
        batch.flush()
        if tree != parent and not stacks.chain(tree):
            stacks.adopt(tree, parent, upper)
    return Snapshot(tree, scan.files, scan.size)


class _Scan:
    def __init__(
        self,
        upper: str,
        times: StepTimes,
        discard: Matcher | None,
        made: frozenset[str],
        owners_observable: bool,
        parent: Digest,
        trees: TreeBatch,
        objects: Objects,
        occurrences: Occurrences,
        allowance: Allowance,
    ) -> None:
        self.files = 0
        self.size = 0
        self._upper = upper
        self._times = times
        self._discard = discard
        self._made = made
        self._owners_observable = owners_observable
        self._parent = parent
        self._trees = trees
        self._objects = objects
        self._occurrences = occurrences
        self._counts: dict[Mark, int] | None = None
        self._fresh: dict[Mark, int] = {}
        self._allowance = allowance
        self._hashed: dict[int, Digest] = {}

    def root(self) -> Digest:
        """Read the whole directory, and return the tree's digest."""
        status = os.lstat(self._upper)
        before = root_entry(self._trees, self._parent)
        # Read first: removing what is not kept changes the directory's own time.
        after = self._attributes(Entry(ROOT_NAME, DIRECTORY, 0, 0, 0, 0), self._upper, status, before)
        entries = self._directory(self._upper, "", self._parent)
        entries[ROOT_NAME] = after
        os.utime(self._upper, ns=(after.mtime, after.mtime))
        return self._trees.save(entries.values())

    def _directory(self, path: str, inside: str, below: Digest | None) -> dict[bytes, Entry]:
        """Return the entries of the merged directory. `inside` is its path in the tree."""
        entries = {entry.name: entry for entry in self._trees.load(below)} if below is not None else {}
        with os.scandir(path) as items:
            listed = [(item.name, item.stat(follow_symlinks=False)) for item in items]
        for name, status in listed:
            self._item(f"{path}/{name}", f"{inside}/{name}" if inside else name, os.fsencode(name), status, entries)
        return entries

    def _item(self, path: str, inside: str, name: bytes, status: os.stat_result, entries: dict[bytes, Entry]) -> None:
        old = entries.get(name)
        mode = status.st_mode
        directory = stat.S_ISDIR(mode)
        if stat.S_ISCHR(mode) and status.st_rdev == 0:
            if old is None:
                os.unlink(path)
            else:
                del entries[name]
            return
        if self._left_out(path, inside, status, directory):
            return
        if old is None and inside.startswith(_TMP):
            # A step may change and remove there what other statements put there; what it adds is for itself.
            remove(path)
            return
        if directory:
            self._take_directory(path, inside, name, status, entries)
        elif stat.S_ISREG(mode):
            self._take_file(path, inside, name, status, entries)
        elif stat.S_ISLNK(mode):
            entry = self._attributes(Entry(name, LINK, 0, 0, 0, 0), path, status, old)
            entry = entry._replace(target=os.fsencode(os.readlink(path)))
            self._keep(path, entry, status, entries)
        elif stat.S_ISFIFO(mode):
            self._keep(path, self._attributes(Entry(name, FIFO, 0, 0, 0, 0), path, status, old), status, entries)
        else:
            # A socket lives as long as its process, which has ended; what it hid stays hidden.
            os.unlink(path)
            if old is not None:
                del entries[name]
                whiteout(path)

    def _left_out(self, path: str, inside: str, status: os.stat_result, directory: bool) -> bool:
        if inside in self._made:
            try:
                if directory:
                    os.rmdir(path)
                    return True
                if status.st_size == 0:
                    os.unlink(path)
                    return True
            except OSError:
                return False
        if self._discard is not None and self._discard.matches(os.fsencode(inside), directory):
            remove(path)
            return True
        return False

    def _take_directory(
        self, path: str, inside: str, name: bytes, status: os.stat_result, entries: dict[bytes, Entry]
    ) -> None:
        old = entries.get(name)
        if old is not None and old.kind != DIRECTORY:
            old = None
        entry = self._attributes(Entry(name, DIRECTORY, 0, 0, 0, 0), path, status, old)
        opaque = _take_overlay_marks(path)
        inner = self._directory(path, inside, None if old is None or opaque else old.digest)
        entry = entry._replace(digest=self._trees.save(inner.values()))
        if entry == old and not opaque:
            # Copied up and not changed: the layer needs it only if something lies in it.
            try:
                os.rmdir(path)
                return
            except OSError:
                pass
        elif old is None or own(entry) != own(old):
            self.files += 1
        entries[name] = entry
        os.utime(path, ns=(entry.mtime, entry.mtime))

    def _take_file(
        self, path: str, inside: str, name: bytes, status: os.stat_result, entries: dict[bytes, Entry]
    ) -> None:
        old = entries.get(name)
        entry = self._attributes(Entry(name, FILE, 0, 0, 0, 0), path, status, old)
        digest = self._hash(path, inside, status)
        entry = entry._replace(digest=digest, mtime=self._times.of(name, status.st_mtime_ns, digest, old))
        if entry == old:
            # Copied up (opened for writing, touched) and not changed.
            os.unlink(path)
            return
        self.files += 1
        self.size += entry.size
        entries[name] = entry
        for attribute in _overlay_names(path):
            os.removexattr(path, attribute, follow_symlinks=False)
        if not self._owners_observable:
            os.chmod(path, entry.mode)
        if status.st_mtime_ns != entry.mtime:
            os.utime(path, ns=(entry.mtime, entry.mtime))
        self._pool(path, entry, status.st_nlink == 1)

    def _hash(self, path: str, inside: str, status: os.stat_result) -> Digest:
        """Return the digest of a file, which is read once however many names it has; each of them is a copy of its
        own."""
        known = self._hashed.get(status.st_ino)
        if known is not None:
            self._allowance.take(inside, status.st_size)
            return known
        self._allowance.check_time()
        digest = hash_of(path, self._allowance, inside)
        if status.st_nlink > 1:
            # Its number stays its own: what is made meanwhile gets none that a name here still has.
            self._hashed[status.st_ino] = digest
        return digest

    def _pool(self, path: str, entry: Entry, alone: bool) -> None:
        """Make the file the pool's inode for it, or the pool's inode this file.

        One that the command gave several names (`alone` is False) is copied: in a tree they are separate files, and
        the pool's inodes for them have to be separate, too.
        """
        identity = object_id(entry)
        what = mark(entry)
        seen = self._fresh.get(what, 0)
        if not alone and not self._objects.has(entry):
            descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
            try:
                self._objects.add(entry, descriptor)
            finally:
                os.close(descriptor)
        if alone and seen == 0 and self._objects.adopt(path, self._objects.where(identity), entry):
            self._fresh[what] = 1
            return
        if self._counts is None:
            self._counts = self._occurrences.of(self._parent)
        occurrence = self._counts.get(what, 0) + seen
        self._fresh[what] = seen + 1
        if alone and occurrence and self._objects.adopt(path, self._objects.where(identity, occurrence), entry):
            return
        # Beside the upper directory: in it, the name might be too long or be taken.
        replacement = f"{os.path.dirname(self._upper)}/{os.urandom(6).hex()}"
        self._objects.link(entry, identity, occurrence, replacement)
        os.rename(replacement, path)

    def _keep(self, path: str, entry: Entry, status: os.stat_result, entries: dict[bytes, Entry]) -> None:
        if entries.get(entry.name) == entry:
            os.unlink(path)
            return
        self.files += 1
        entries[entry.name] = entry
        if status.st_mtime_ns != entry.mtime:
            os.utime(path, ns=(entry.mtime, entry.mtime), follow_symlinks=False)

    def _attributes(self, entry: Entry, path: str, status: os.stat_result, old: Entry | None) -> Entry:
        xattrs, _ = read_xattrs(path)
        entry = with_attributes(entry, status, xattrs, self._times.of_others(status.st_mtime_ns))
        if not self._owners_observable:
            # Everything looks as if it were root's: what was there before keeps the owner that is on record.
            uid, gid = (old.uid, old.gid) if old is not None else (0, 0)
            entry = entry._replace(uid=uid, gid=gid)
        return entry


def _take_overlay_marks(path: str) -> bool:
    """Tell whether overlayfs marked the directory opaque; its other marks, good for one mount only, are removed."""
    opaque = False
    for name in _overlay_names(path):
        if name == OPAQUE and os.getxattr(path, name, follow_symlinks=False) == b"y":
            opaque = True
        elif name != OPAQUE:
            os.removexattr(path, name, follow_symlinks=False)
    return opaque


def _overlay_names(path: str) -> tuple[str, ...]:
    try:
        names = os.listxattr(path, follow_symlinks=False)
    except OSError:
        return ()
    return tuple(name for name in names if name.startswith(OVERLAY_PREFIX))
