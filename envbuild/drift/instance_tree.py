"""The files of an instance as they are now, as a tree: all differences from its image were made since it started.

Overlayfs' upper directory is read in place, and nothing in it is changed. Every file is hashed; only files that the
store lacks are copied. A file is never linked into the store: the instance may still write to it. Whatever is mounted
in the instance (volumes, binds, /tmp, /proc) lies elsewhere and is not part of the tree.
"""

from __future__ import annotations

import errno
import json
import os
import stat
from collections.abc import Iterable, Iterator

from envbuild.digest import Sha256, sha256_of
from envbuild.errors import WorkFailed, fields
from envbuild.instances.records import LAYERS, Instance
from envbuild.linux.attributes import read_xattrs
from envbuild.linux.sparse_files import Allowance, has_holes, parts, size_of_holes
from envbuild.store.database import StoreUnusable
from envbuild.store.store import Store
from envbuild.store.upper import Place, UpperWalk, refuse_elsewhere
from envbuild.tree.entry import DIRECTORY, FILE, Digest, Entry

NEVER = 1 << 62
"""An epoch in nanoseconds that no time is later than."""
MAX_ATTEMPTS = 3
"""How often a path is read again if its kind changes while it is read."""
MAX_WHOLE = 1 << 20
"""Bytes of a file that is read at once, and not hashed first to see whether it is new."""
_DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_GONE = (errno.ENOENT, errno.ENOTDIR, errno.ELOOP, errno.ESTALE, errno.ENXIO)


class KindChanged(Exception):
    """A path whose kind changed while it was read."""


@fields
class ImageLost(WorkFailed):
    """The image of an instance was removed."""

    instance: str

    def text(self) -> tuple[str, str]:
        return f"the image of {self.instance} is no longer in the store", "build it again"


def tree_of(store: Store, instance: Instance, *, epoch: int | None = None) -> Digest:
    """Store the instance's current tree and return its digest. With `epoch` (seconds) no time is later,
    nor than that of the latest file of its image.

    The instance may go on writing: each file is as it was when it was read, and files that come and go meanwhile are
    left out. The process must be root of the namespace. Raises WorkFailed kinds.
    """
    store.share()
    if store.database.read_only:
        raise StoreUnusable(store.path, "it is read-only, and the files of the instance must be stored in it")
    if not store.trees.has(instance.tree):
        raise ImageLost(instance.name)
    # The root's own attributes are set on `upper` after this file is written, right before the first start.
    if not os.path.exists(f"{instance.path}/{LAYERS}"):
        return instance.tree
    limit = NEVER if epoch is None else store.clocks.of(instance.tree, epoch).end
    return _UpperReader(store, limit, mount_points(instance)).tree(f"{instance.path}/upper", instance.tree)


def mount_points(instance: Instance) -> tuple[str, ...]:
    """Return the paths on which the instance has something mounted, without a leading slash."""
    # A mount is kind, source and target (instances/config.py).
    return tuple(str(mount[2]).strip("/") for mount in json.loads(instance.settings).get("mounts", ()))


def volumes_of(instance: Instance) -> list[tuple[str, str]]:
    """Return where the instance has volumes, and which: what is in them is no part of its tree."""
    mounts = json.loads(instance.settings).get("mounts", ())
    return [(str(mount[2]), str(mount[1])) for mount in mounts if mount[0] == "volume"]


class _UpperReader(UpperWalk):
    """A walk over an upper directory that changes meanwhile, and in which nothing is changed."""

    def __init__(self, store: Store, limit: int, mounted: Iterable[str]) -> None:
        super().__init__(
            store.trees,
            limit=limit,
            owners_observable=store.owners_observable,
            allowance=Allowance(store.sparse_limit),
        )
        self._objects = store.objects
        self._mounted = frozenset(os.fsencode(path) for path in mounted)

    def tree(self, upper: str, parent: Digest) -> Digest:
        """Return the tree of `upper` on top of `parent`."""
        held = os.open(upper, _DIRECTORY)
        try:
            return self.root(Place("", held, b""), held, os.fstat(held), parent).digest
        finally:
            os.close(held)

    def take(self, place: Place, name: str, entries: dict[bytes, Entry]) -> None:
        for _ in range(MAX_ATTEMPTS):
            try:
                super().take(place, name, entries)
                return
            except KindChanged:
                continue
            except OSError as error:
                if error.errno == errno.EINVAL:
                    continue  # it was a link, and is something else
                if error.errno not in _GONE:
                    raise
                return

    def keeps(self, place: Place, name: str, entry: Entry, old: Entry | None) -> bool:
        if old is None and place.inside + entry.name in self._mounted:
            # Created as a mount point, unless something lies in it.
            return bool(self.trees.load(entry.digest)) if entry.kind == DIRECTORY else entry.size > 0
        return True

    def take_directory(self, place: Place, name: str, status: os.stat_result, old: Entry | None) -> Entry:
        held = os.open(name, _DIRECTORY, dir_fd=place.held)
        try:
            raw = os.fsencode(name)
            inner = Place("", held, place.inside + raw + b"/")
            return self.directory(raw, inner, held, os.fstat(held), old)[0]
        finally:
            os.close(held)

    def take_file(self, place: Place, name: str, status: os.stat_result, old: Entry | None) -> Entry:
        # O_NONBLOCK: if it has become a FIFO, opening it must not wait for a writer.
        flags = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
        descriptor = os.open(name, flags, dir_fd=place.held)
        try:
            status = os.fstat(descriptor)
            if not stat.S_ISREG(status.st_mode):
                raise KindChanged
            raw = os.fsencode(name)
            xattrs, marks = read_xattrs(descriptor)
            refuse_elsewhere(marks, place.inside + raw)
            entry = self.attributes(Entry(raw, FILE, 0, 0, 0, 0), status, xattrs, old)
            if status.st_size <= MAX_WHOLE:
                content = _read(descriptor, status.st_size)
                entry = entry._replace(digest=sha256_of(content), size=len(content))
                return entry if entry == old else self._objects.add(entry, content)
            known = self._hash(descriptor, entry, status, place.inside + raw)
            if known == old or self._objects.has(known):
                return known
            # Read again and store what is read now: it may have changed since it was hashed.
            os.lseek(descriptor, 0, os.SEEK_SET)
            return self._objects.add(entry, descriptor)
        finally:
            os.close(descriptor)

    def _hash(self, descriptor: int, entry: Entry, status: os.stat_result, inside: bytes) -> Entry:
        """Return the entry with its digest; a file with several names is read once unless somebody writes to it."""
        identity = (status.st_ino, status.st_ctime_ns)
        known = self.known_digest(identity, inside, status.st_size)
        if known is not None:
            return entry._replace(digest=known)
        if has_holes(status):
            self.allowance.take(os.fsdecode(inside), size_of_holes(descriptor, status.st_size))
        hashed = _hashed(descriptor, entry, status)
        if status.st_nlink > 1 and hashed.size == status.st_size:
            self.remember(identity, hashed.digest)
        return hashed


def _chunks(descriptor: int, size: int) -> Iterator[bytes]:
    """Yield `size` bytes of a file, or fewer if it shrank; data appended meanwhile is not read."""
    while size and (chunk := os.read(descriptor, min(size, MAX_WHOLE))):
        yield chunk
        size -= len(chunk)


def _read(descriptor: int, size: int) -> bytes:
    return b"".join(_chunks(descriptor, size))


def _hashed(descriptor: int, entry: Entry, status: os.stat_result) -> Entry:
    state, size = Sha256(), 0
    whole = status.st_size
    pieces = (piece for piece, _ in parts(descriptor, whole)) if has_holes(status) else _chunks(descriptor, whole)
    for chunk in pieces:
        state.update(chunk)
        size += len(chunk)
    return entry._replace(digest=state.hexdigest(), size=size)
