"""Overlayfs' upper directory, read on top of the tree that lies below it.

One walk for what a step left, which becomes a layer (snapshot.py), and for an instance that may still run, in whose
directory nothing is changed (drift/instance_tree.py). What overlayfs writes down in an upper directory (whiteouts,
opaque directories, marks of its own) is known here alone.
"""

from __future__ import annotations

import os
import stat

from envbuild.errors import WorkFailed, fields
from envbuild.linux.attributes import OPAQUE, OVERLAY_PREFIX, read_xattrs, with_attributes
from envbuild.linux.sparse_files import Allowance
from envbuild.record import NamedTuple
from envbuild.tree.entry import DIRECTORY, FIFO, LINK, ROOT_NAME, Digest, Entry, Xattrs
from envbuild.tree.lookup import root_entry

TYPE_CHECKING = False
if TYPE_CHECKING:
    from envbuild.store.trees import StoredTrees, TreeBatch

_ELSEWHERE = (OVERLAY_PREFIX + "metacopy", OVERLAY_PREFIX + "redirect")


@fields
class ContentElsewhere(WorkFailed):
    """A file or directory of which overlayfs keeps a part in a lower layer, so that the upper one has not all of it."""

    path: str

    def text(self) -> tuple[str, str]:
        return (
            f"{self.path!a}: overlayfs keeps only a part of it in the upper directory (metacopy or redirect_dir)",
            "envbuild mounts without these options: something else has written into the store",
        )


class Place(NamedTuple):
    """A directory in which names are looked up: by its path, or by a descriptor if it may change meanwhile."""

    prefix: str
    """Its path with a slash at the end, "" if it is open."""
    held: int | None
    inside: bytes
    """Its path in the tree, with a slash at the end, b"" for the root."""


def is_whiteout(status: os.stat_result) -> bool:
    """Tell whether this marks a name of the layers below as removed: a character device 0:0 (Linux documentation,
    filesystems/overlayfs)."""
    return stat.S_ISCHR(status.st_mode) and status.st_rdev == 0


def make_whiteout(path: str) -> None:
    """Mark a name of the layers below as removed."""
    os.mknod(path, stat.S_IFCHR, os.makedev(0, 0))


def is_opaque(directory: str | int) -> bool:
    """Tell whether a directory (a path, or a descriptor) hides the ones of its name in the layers below."""
    try:
        return os.getxattr(directory, OPAQUE, follow_symlinks=isinstance(directory, int)) == b"y"
    except OSError:
        return False


class UpperWalk:
    """A walk over an upper directory, which gives the tree that it makes of the one below.

    A subclass says how a file is read, and what happens to that which is of no use to the tree. No time is later than
    `limit` (nanoseconds). With `owners_observable` False a path keeps the owner that the tree below has for it.
    """

    def __init__(
        self, trees: StoredTrees | TreeBatch, *, limit: int, owners_observable: bool, allowance: Allowance
    ) -> None:
        self.trees = trees
        self.owners_observable = owners_observable
        self.allowance = allowance
        self._limit = limit
        self._digests: dict[object, Digest] = {}

    def root(self, place: Place, directory: str | int, status: os.stat_result, parent: Digest) -> Entry:
        """Read the whole directory; return the root's own entry, with the digest of the tree."""
        before = root_entry(self.trees, parent)
        # Read first: removing what is not kept changes the directory's own time.
        entry, _ = self._own(ROOT_NAME, place, directory, status, before)
        entries = self._entries(place, parent)
        entries[ROOT_NAME] = entry
        return entry._replace(digest=self.trees.save(entries.values()))

    def directory(
        self, name: bytes, place: Place, directory: str | int, status: os.stat_result, old: Entry | None
    ) -> tuple[Entry, bool, tuple[str, ...]]:
        """Read a directory with all in it; return its entry, whether it hides `old`, and the names of overlayfs'
        marks on it."""
        entry, marks = self._own(name, place, directory, status, old)
        opaque = OPAQUE in marks and is_opaque(directory)
        entries = self._entries(place, None if old is None or opaque else old.digest)
        return entry._replace(digest=self.trees.save(entries.values())), opaque, marks

    def take(self, place: Place, name: str, entries: dict[bytes, Entry]) -> None:
        """Put one name of a directory into its entries, which are at first those of the tree below."""
        status = os.stat(place.prefix + name, dir_fd=place.held, follow_symlinks=False)
        raw = os.fsencode(name)
        old = entries.get(raw)
        mode = status.st_mode
        if is_whiteout(status):
            self.removed(place, name, old)
            entries.pop(raw, None)
            return
        if self.left_out(place, name, status):
            return
        if stat.S_ISREG(mode):
            entry = self.take_file(place, name, status, old)
        elif stat.S_ISDIR(mode):
            entry = self.take_directory(place, name, status, old if old is not None and old.kind == DIRECTORY else None)
        elif stat.S_ISLNK(mode) or stat.S_ISFIFO(mode):
            entry = self._take_special(place, name, status, old)
        else:
            # A socket lives as long as its process, and other devices can't be made. What they hid stays hidden.
            self.useless(place, name, old)
            entries.pop(raw, None)
            return
        if self.keeps(place, name, entry, old):
            entries[raw] = entry

    def take_file(self, place: Place, name: str, status: os.stat_result, old: Entry | None) -> Entry:
        """Return the entry of a file, with its digest."""
        raise NotImplementedError

    def take_directory(self, place: Place, name: str, status: os.stat_result, old: Entry | None) -> Entry:
        """Return the entry of a directory; `old` is what lies below if that is a directory too."""
        raise NotImplementedError

    def take_other(self, place: Place, name: str, status: os.stat_result, entry: Entry, old: Entry | None) -> None:
        """Do what is to be done with a link or a FIFO."""

    def left_out(self, place: Place, name: str, status: os.stat_result) -> bool:
        """Tell whether a name is no part of the tree, so that the tree below counts."""
        return False

    def keeps(self, place: Place, name: str, entry: Entry, old: Entry | None) -> bool:
        """Tell whether a name is part of the tree, now that all of it is known."""
        return True

    def removed(self, place: Place, name: str, old: Entry | None) -> None:
        """Do what is to be done with a whiteout; `old` is what it hides."""

    def useless(self, place: Place, name: str, old: Entry | None) -> None:
        """Do what is to be done with what is of no kind that a tree has; `old` is what it hides."""

    def attributes(self, entry: Entry, status: os.stat_result, xattrs: Xattrs, old: Entry | None) -> Entry:
        """Return `entry` with the attributes that it has in the tree."""
        entry = with_attributes(entry, status, xattrs, self._limit)
        if not self.owners_observable:
            # Everything looks as if it were root's: what was there before keeps the owner that is on record.
            uid, gid = (old.uid, old.gid) if old is not None else (0, 0)
            entry = entry._replace(uid=uid, gid=gid)
        return entry

    def known_digest(self, file: object, inside: bytes, size: int) -> Digest | None:
        """Return the digest of a file that was read under another of its names. Each name counts as a copy."""
        known = self._digests.get(file)
        if known is not None:
            self.allowance.take(os.fsdecode(inside), size)
        return known

    def remember(self, file: object, digest: Digest) -> None:
        """Keep the digest of a file that has more names."""
        self._digests[file] = digest

    def _own(
        self, name: bytes, place: Place, directory: str | int, status: os.stat_result, old: Entry | None
    ) -> tuple[Entry, tuple[str, ...]]:
        xattrs, marks = read_xattrs(directory)
        refuse_elsewhere(marks, place.inside)
        return self.attributes(Entry(name, DIRECTORY, 0, 0, 0, 0), status, xattrs, old), marks

    def _entries(self, place: Place, below: Digest | None) -> dict[bytes, Entry]:
        """Return the entries of the merged directory."""
        entries = {entry.name: entry for entry in self.trees.load(below)} if below is not None else {}
        for name in os.listdir(place.prefix if place.held is None else place.held):
            self.take(place, name, entries)
        return entries

    def _take_special(self, place: Place, name: str, status: os.stat_result, old: Entry | None) -> Entry:
        link = stat.S_ISLNK(status.st_mode)
        # There is no call that reads them by descriptor and name; attributes of links and FIFOs are rare.
        path = place.prefix + name if place.held is None else f"/proc/self/fd/{place.held}/{name}"
        xattrs, _ = read_xattrs(path)
        target = os.fsencode(os.readlink(place.prefix + name, dir_fd=place.held)) if link else b""
        empty = Entry(os.fsencode(name), LINK if link else FIFO, 0, 0, 0, 0, target=target)
        entry = self.attributes(empty, status, xattrs, old)
        self.take_other(place, name, status, entry, old)
        return entry


def refuse_elsewhere(marks: tuple[str, ...], inside: bytes) -> None:
    """Raise ContentElsewhere for marks that say so of what lies at a path of the tree."""
    if marks and any(mark in _ELSEWHERE for mark in marks):
        raise ContentElsewhere(os.fsdecode(inside))
