"""Snapshots: what a command left in overlayfs' upper directory becomes a tree, and the directory its layer."""

from __future__ import annotations

import os
import stat

from envbuild.linux.attributes import OPAQUE, read_xattrs
from envbuild.linux.rmtree import remove
from envbuild.linux.sparse_files import Allowance
from envbuild.record import Record
from envbuild.store.database import Database
from envbuild.store.layer_check import hash_of
from envbuild.store.objects import Objects
from envbuild.store.occurrences import Occurrences
from envbuild.store.stacks import Stacks
from envbuild.store.trees import StoredTrees, TreeBatch
from envbuild.store.upper import Place, UpperWalk, make_whiteout, refuse_elsewhere
from envbuild.tree.diff import own
from envbuild.tree.entry import FILE, ROOT_NAME, Digest, Entry, Mark, Xattrs, mark, object_id
from envbuild.tree.patterns import Matcher
from envbuild.tree.rebase import Touched
from envbuild.tree.times import StepTimes

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

_TMP = b"tmp/"


class Snapshot(Record):
    """The tree that came out; how many files are new or changed, and their bytes; and whether any were removed.
    `touched` is what else was done to the tree before."""

    tree: Digest
    files: int
    size: int
    removes: bool = False
    touched: Touched = Touched()


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
    mounts = frozenset(os.fsencode(path.strip("/")) for path in made)
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
    tree = scan.tree()
    with database.transaction():
        batch.flush()
        if tree != parent and not stacks.chain(tree):
            stacks.adopt(tree, parent, upper)
    return Snapshot(tree, scan.files, scan.size, scan.removes, scan.touched)


class _Scan(UpperWalk):
    """A walk over what a command left, which makes a layer of it."""

    def __init__(
        self,
        upper: str,
        times: StepTimes,
        discard: Matcher | None,
        made: frozenset[bytes],
        owners_observable: bool,
        parent: Digest,
        trees: TreeBatch,
        objects: Objects,
        occurrences: Occurrences,
        allowance: Allowance,
    ) -> None:
        super().__init__(trees, limit=times.epoch, owners_observable=owners_observable, allowance=allowance)
        self.files = 0
        self.size = 0
        self.removes = False
        self._unchanged: list[bytes] = []
        self._entered: list[bytes] = []
        self._stamped: list[bytes] = []
        self._replaced: list[bytes] = []
        self._upper = upper
        self._times = times
        self._discard = discard
        self._made = made
        self._parent = parent
        self._objects = objects
        self._occurrences = occurrences
        self._counts: dict[Mark, int] | None = None
        self._fresh: dict[Mark, int] = {}

    @property
    def touched(self) -> Touched:
        """What was done to the tree before and its changes do not show."""
        times = self._times
        return Touched(
            tuple(self._unchanged),
            tuple(self._entered),
            tuple(self._stamped),
            tuple(self._replaced),
            times.aimed,
            times.kept,
            times.clocked,
        )

    def tree(self) -> Digest:
        """Read the whole directory, and return the tree's digest."""
        status = os.lstat(self._upper)
        if self._times.of_the_run(status.st_mtime_ns):
            self._stamped.append(ROOT_NAME)
        root = self.root(Place(f"{self._upper}/", None, b""), self._upper, status, self._parent)
        os.utime(self._upper, ns=(root.mtime, root.mtime))
        return root.digest

    def take(self, place: Place, name: str, entries: dict[bytes, Entry]) -> None:
        if place.inside.startswith(_TMP) and os.fsencode(name) not in entries:
            # A step may change and remove there what other statements put there; what it adds is for itself.
            remove(place.prefix + name)
        else:
            super().take(place, name, entries)

    def attributes(self, entry: Entry, status: os.stat_result, xattrs: Xattrs, old: Entry | None) -> Entry:
        entry = super().attributes(entry, status, xattrs, old)
        return entry._replace(mtime=self._times.of_others(status.st_mtime_ns))

    def removed(self, place: Place, name: str, old: Entry | None) -> None:
        if old is None:
            os.unlink(place.prefix + name)
        else:
            self.removes = True

    def useless(self, place: Place, name: str, old: Entry | None) -> None:
        os.unlink(place.prefix + name)
        if old is not None:
            make_whiteout(place.prefix + name)
            self.removes = True

    def left_out(self, place: Place, name: str, status: os.stat_result) -> bool:
        inside = place.inside + os.fsencode(name)
        path = place.prefix + name
        directory = stat.S_ISDIR(status.st_mode)
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
        if self._discard is not None and self._discard.matches(inside, directory):
            remove(path)
            return True
        return False

    def take_directory(self, place: Place, name: str, status: os.stat_result, old: Entry | None) -> Entry:
        path, raw = place.prefix + name, os.fsencode(name)
        inner = Place(f"{path}/", None, place.inside + raw + b"/")
        entry, opaque, marks = self.directory(raw, inner, path, status, old)
        self.removes |= opaque and old is not None
        inside = place.inside + raw
        if old is not None and self._times.of_the_run(status.st_mtime_ns):
            self._stamped.append(inside)
        if old is not None and opaque:
            self._replaced.append(inside)
        for name_of_mark in marks:
            # The others are good for one mount only.
            if name_of_mark != OPAQUE:
                os.removexattr(path, name_of_mark, follow_symlinks=False)
        if entry == old and not opaque:
            # Copied up and not changed: the layer needs it only if something lies in it.
            try:
                os.rmdir(path)
                self._entered.append(inside)
                return entry
            except OSError:
                pass
        elif old is None or own(entry) != own(old):
            self.files += 1
        os.utime(path, ns=(entry.mtime, entry.mtime))
        return entry

    def take_file(self, place: Place, name: str, status: os.stat_result, old: Entry | None) -> Entry:
        path, raw = place.prefix + name, os.fsencode(name)
        inside = place.inside + raw
        xattrs, marks = read_xattrs(path)
        refuse_elsewhere(marks, inside)
        entry = self.attributes(Entry(raw, FILE, 0, 0, 0, 0), status, xattrs, old)
        digest = self._hash(path, inside, status)
        entry = entry._replace(digest=digest, mtime=self._times.of(raw, status.st_mtime_ns, digest, old))
        if entry == old:
            # Copied up (opened for writing, touched) and not changed.
            os.unlink(path)
            self._unchanged.append(inside)
            return entry
        self.files += 1
        self.size += entry.size
        for name_of_mark in marks:
            os.removexattr(path, name_of_mark, follow_symlinks=False)
        if not self.owners_observable:
            os.chmod(path, entry.mode)
        if status.st_mtime_ns != entry.mtime:
            os.utime(path, ns=(entry.mtime, entry.mtime))
        self._pool(path, entry, status.st_nlink == 1)
        return entry

    def take_other(self, place: Place, name: str, status: os.stat_result, entry: Entry, old: Entry | None) -> None:
        path = place.prefix + name
        if entry == old:
            os.unlink(path)
            self._unchanged.append(place.inside + os.fsencode(name))
            return
        self.files += 1
        if status.st_mtime_ns != entry.mtime:
            os.utime(path, ns=(entry.mtime, entry.mtime), follow_symlinks=False)

    def _hash(self, path: str, inside: bytes, status: os.stat_result) -> Digest:
        """Return the digest of a file, which is read once however many names it has."""
        known = self.known_digest(status.st_ino, inside, status.st_size)
        if known is not None:
            return known
        self.allowance.check_time()
        digest = hash_of(path, self.allowance, os.fsdecode(inside))
        if status.st_nlink > 1:
            # Its number stays its own: what is made meanwhile gets none that a name here still has.
            self.remember(status.st_ino, digest)
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
