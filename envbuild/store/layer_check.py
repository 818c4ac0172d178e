"""Is a layer still what its tree says? Asked before it is mounted, at the cost of a walk over it.

Whatever is changed in a layer through the file system gets a new change time (ctime), which nobody can set back.
So only what was changed after the last check is read and hashed; after a loss of power all is. Media that give other
bytes back than they were given, without a trace, are found by `envbuild fsck` alone.
"""

from __future__ import annotations

import os
import stat
import time

from envbuild.digest import Sha256, sha256_of
from envbuild.linux.attributes import CAPABILITY, read_xattrs
from envbuild.linux.sparse_files import Allowance, has_holes, parts, size_of_holes
from envbuild.record import Record
from envbuild.store.upper import is_opaque, is_whiteout
from envbuild.tree.diff import own
from envbuild.tree.entry import DIRECTORY, FIFO, FILE, LINK, ROOT_NAME, TYPE_BITS, Digest, Entry
from envbuild.tree.lookup import Trees, root_entry

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence


CLOCK_STEP = 20_000_000
"""Nanoseconds by which a change time may lag behind the clock: the kernel's coarse clock ticks that seldom."""
_CHUNK = 1 << 20
_IN_LAYERS = (FILE, DIRECTORY, LINK, FIFO)


class LayerCheck(Record):
    """What a check found: `reason` is "" for a layer that is sound, else what is wrong with it; `files` are entries
    whose content in the layer is not theirs; `reread` says whether anything had to be read; `later` are paths with a
    change time that is still to come, as the clock went back."""

    reason: str
    files: tuple[Entry, ...]
    reread: bool
    later: tuple[str, ...] = ()


def check_layer(
    folder: str, tree: Digest, below: Digest | None, trees: Trees, *, since: int, owners: bool
) -> LayerCheck:
    """Check what was changed in `folder` after `since` (nanoseconds; 0 for everything) against `tree`.

    The layer leads from `below` to `tree`. `owners` is False where files can't have the owners of their entries.
    """
    return _Check(trees, since - CLOCK_STEP if since else 0, owners).run(folder, tree, below)


def put_back_times(later: Sequence[str]) -> None:
    """Give what was found sound a change time of now, where it has one that is still to come: else it would be read at
    each check until then."""
    for path in later:
        status = os.lstat(path)
        times = (status.st_atime_ns, status.st_mtime_ns)
        try:
            os.utime(path, ns=times, follow_symlinks=False)
        except PermissionError:
            return  # another user's: it is read again


def _anything_after(folder: str, status: os.stat_result, since: int) -> bool:
    """Tell whether anything in a directory, or the directory itself, was changed after `since`."""
    if status.st_ctime_ns > since:
        return True
    pending = [folder]
    while pending:
        path = pending.pop()
        # Through a descriptor: the kernel need not go along the whole path for each name, which is a sixth of the time.
        opened = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
        try:
            with os.scandir(opened) as items:
                for item in items:
                    if item.stat(follow_symlinks=False).st_ctime_ns > since:
                        return True
                    if item.is_dir(follow_symlinks=False):
                        pending.append(f"{path}/{item.name}")
        finally:
            os.close(opened)
    return False


class _Check:
    def __init__(self, trees: Trees, since: int, owners: bool) -> None:
        self._trees = trees
        self._since = since
        self._owners = owners
        self._reason = ""
        self._files: list[Entry] = []
        self._reread = False
        self._now = time.time_ns() + CLOCK_STEP
        self._later: list[str] = []

    def run(self, folder: str, tree: Digest, below: Digest | None) -> LayerCheck:
        try:
            status = os.lstat(folder)
        except FileNotFoundError:
            return LayerCheck("it is missing", (), True)
        if self._since and not _anything_after(folder, status, self._since):
            return LayerCheck("", (), False)
        changed = status.st_ctime_ns > self._since
        if changed and not self._matches(folder, root_entry(self._trees, tree), status):
            self._wrong("/", "its attributes were changed")
        if status.st_ctime_ns > self._now:
            self._later.append(folder)
        self._directory(folder, "", tree, below, changed)
        return LayerCheck(self._reason, tuple(self._files), self._reread, tuple(self._later))

    def _wrong(self, path: str, what: str) -> None:
        self._reason = self._reason or f"{path}: {what}"

    def _directory(self, path: str, inside: str, tree: Digest, below: Digest | None, changed: bool) -> None:
        """`tree` and `below` are of this directory; `changed` is whether it was itself."""
        with os.scandir(path) as items:
            listed = [(item.name, item.stat(follow_symlinks=False)) for item in items]
        suspects = [item for item in listed if item[1].st_ctime_ns > self._since]
        inner = [item for item in listed if stat.S_ISDIR(item[1].st_mode)]
        self._later += [f"{path}/{name}" for name, status in suspects if status.st_ctime_ns > self._now]
        if not (suspects or inner or changed):
            return
        entries = {os.fsdecode(entry.name): entry for entry in self._trees.load(tree) if entry.name != ROOT_NAME}
        old = {}
        if below is not None:
            old = {os.fsdecode(entry.name): entry for entry in self._trees.load(below) if entry.name != ROOT_NAME}
        if changed:
            self._reread = True
            self._names(inside, {name for name, _ in listed}, entries, old)
        for name, status in suspects:
            self._reread = True
            self._item(f"{path}/{name}", f"{inside}/{name}", entries.get(name), status)
        for name, status in inner:
            entry, before = entries.get(name), old.get(name)
            if entry is None or entry.kind != DIRECTORY:
                self._wrong(f"{inside}/{name}", "it is not in the tree")
                continue
            merged = before is not None and before.kind == DIRECTORY and not is_opaque(f"{path}/{name}")
            lower = before.digest if merged and before is not None else None
            was_changed = status.st_ctime_ns > self._since
            self._directory(f"{path}/{name}", f"{inside}/{name}", entry.digest, lower, was_changed)

    def _names(self, inside: str, there: set[str], entries: dict[str, Entry], old: dict[str, Entry]) -> None:
        """Check that what differs from the layers below is there or hidden."""
        for name, entry in entries.items():
            if name not in there and old.get(name) != entry:
                self._wrong(f"{inside}/{name}", "it is missing")
        for name in old.keys() - entries.keys() - there:
            self._wrong(f"{inside}/{name}", "it is not hidden any more")

    def _item(self, path: str, inside: str, entry: Entry | None, status: os.stat_result) -> None:
        if is_whiteout(status):
            if entry is not None:
                self._wrong(inside, "it is hidden")
        elif entry is None:
            self._wrong(inside, "it is not in the tree")
        elif not self._matches(path, entry, status):
            self._wrong(inside, "it was changed")
            if entry.kind == FILE:
                self._files.append(entry)
        elif entry.kind == FILE and hash_of(path) != entry.digest:
            self._wrong(inside, "its content was changed")
            self._files.append(entry)

    def _matches(self, path: str, entry: Entry, status: os.stat_result) -> bool:
        """Tell whether kind, attributes, size and target are those of the entry."""
        return matches(path, entry, status, owners=self._owners)


def matches(path: str, entry: Entry, status: os.stat_result, *, owners: bool) -> bool:
    """Tell whether what lies at `path` has the kind and the attributes of `entry`, a file its size, a link its
    target."""
    if entry.kind not in _IN_LAYERS or TYPE_BITS[entry.kind] != stat.S_IFMT(status.st_mode):
        return False
    if owners and (status.st_uid, status.st_gid) != (entry.uid, entry.gid):
        return False
    if status.st_mtime_ns != entry.mtime:
        return False
    if entry.kind == LINK:
        return os.fsencode(os.readlink(path)) == entry.target
    if stat.S_IMODE(status.st_mode) != entry.mode or (entry.kind == FILE and status.st_size != entry.size):
        return False
    kept, _ = read_xattrs(path)
    # Without the ids that it names a file capability can't be set.
    capability = CAPABILITY.encode()
    return {attribute for attribute in kept if owners or attribute[0] != capability} == {
        attribute for attribute in own(entry).xattrs if owners or attribute[0] != capability
    }


def hash_of(path: str, allowance: Allowance | None = None, shown: str = "") -> Digest:
    """Return the sha256 of a file's bytes. Raises TooSparse and TookTooLong where an `allowance` ends."""
    descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
    try:
        chunk = os.read(descriptor, _CHUNK)
        following = os.read(descriptor, _CHUNK) if chunk else b""
        if not following:
            return sha256_of(chunk)
        status = os.fstat(descriptor)
        if has_holes(status):
            if allowance is not None:
                allowance.take(shown or path, size_of_holes(descriptor, status.st_size))
            return _hash_of_parts(descriptor, status.st_size, allowance)
        state = Sha256(chunk)
        while following:
            if allowance is not None:
                allowance.check_time()
            state.update(following)
            following = os.read(descriptor, _CHUNK)
        return state.hexdigest()
    finally:
        os.close(descriptor)


def _hash_of_parts(descriptor: int, size: int, allowance: Allowance | None) -> Digest:
    state = Sha256()
    for piece, _ in parts(descriptor, size):
        if allowance is not None:
            allowance.check_time()
        state.update(piece)
    return state.hexdigest()
