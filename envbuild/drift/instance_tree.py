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

from envbuild.digest import sha256, sha256_of
from envbuild.errors import WorkFailed
from envbuild.instances.records import LAYERS, Instance
from envbuild.linux.attributes import OPAQUE, read_xattrs, with_attributes
from envbuild.linux.sparse_files import Allowance, has_holes, parts, size_of_holes
from envbuild.store.database import StoreUnusable
from envbuild.store.store import Store
from envbuild.tree.entry import DIRECTORY, FIFO, FILE, LINK, ROOT_NAME, Digest, Entry, Xattrs
from envbuild.tree.lookup import root_entry

NEVER = 1 << 62
"""An epoch in nanoseconds that no time is later than."""
MAX_ATTEMPTS = 3
"""How often a path is read again if its kind changes while it is read."""
MAX_WHOLE = 1 << 20
"""Bytes of a file that is read at once, and not hashed first to see whether it is new."""
_GONE = (errno.ENOENT, errno.ENOTDIR, errno.ELOOP, errno.ESTALE, errno.ENXIO)


class KindChanged(Exception):
    """A path whose kind changed while it was read."""


def tree_of(store: Store, instance: Instance, *, epoch: int | None = None) -> Digest:
    """Store the instance's current tree and return its digest. With `epoch` (seconds) no time is later.

    The instance may go on writing: each file is as it was when it was read, and files that come and go meanwhile are
    left out. The process must be root of the namespace. Raises WorkFailed kinds.
    """
    store.share()
    if store.database.read_only:
        raise StoreUnusable(store.path, "it is read-only, and the files of the instance must be stored in it")
    if not store.trees.has(instance.tree):
        raise WorkFailed(f"the image of {instance.name} is no longer in the store", "build it again")
    # The root's own attributes are set on `upper` after this file is written, right before the first start.
    if not os.path.exists(f"{instance.path}/{LAYERS}"):
        return instance.tree
    limit = NEVER if epoch is None else epoch * 1_000_000_000
    return _UpperReader(store, limit, mount_points(instance)).root(f"{instance.path}/upper", instance.tree)


def mount_points(instance: Instance) -> tuple[str, ...]:
    """Return the paths on which the instance has something mounted, without a leading slash."""
    # A mount is kind, source and target (instances/config.py).
    return tuple(str(mount[2]).strip("/") for mount in json.loads(instance.settings).get("mounts", ()))


class _UpperReader:
    def __init__(self, store: Store, limit: int, mounted: Iterable[str]) -> None:
        self._trees = store.trees
        self._objects = store.objects
        self._owners = store.owners_observable
        self._limit = limit
        self._allowance = Allowance(store.sparse_limit)
        self._hashed: dict[tuple[int, int], Entry] = {}
        self._mounted = frozenset(os.fsencode(path) for path in mounted)

    def root(self, upper: str, parent: Digest) -> Digest:
        """Return the tree of `upper` on top of `parent`."""
        held = os.open(upper, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
        try:
            own = root_entry(self._trees, parent)
            entries = self._directory(held, b"", parent)
            head = Entry(ROOT_NAME, DIRECTORY, 0, 0, 0, 0)
            entries[ROOT_NAME] = self._attributes(head, os.fstat(held), read_xattrs(held)[0], own)
            return self._trees.save(entries.values())
        finally:
            os.close(held)

    def _directory(self, held: int, inside: bytes, below: Digest | None) -> dict[bytes, Entry]:
        """Return the entries of the merged directory that is open as `held`. `inside` is its path in the tree."""
        entries = {entry.name: entry for entry in self._trees.load(below)} if below is not None else {}
        for text in os.listdir(held):
            name = os.fsencode(text)
            path = inside + b"/" + name if inside else name
            for _ in range(MAX_ATTEMPTS):
                try:
                    self._item(held, name, path, entries)
                    break
                except KindChanged:
                    continue
                except OSError as error:
                    if error.errno not in _GONE:
                        raise
        return entries

    def _item(self, held: int, name: bytes, path: bytes, entries: dict[bytes, Entry]) -> None:
        old = entries.get(name)
        status = os.stat(name, dir_fd=held, follow_symlinks=False)
        kind = status.st_mode
        if stat.S_ISDIR(kind):
            entry = self._inner(held, name, path, old)
        elif stat.S_ISREG(kind):
            entry = self._file(held, name, path, old)
        elif stat.S_ISLNK(kind):
            target = os.fsencode(os.readlink(name, dir_fd=held))
            entry = self._attributes(Entry(name, LINK, 0, 0, 0, 0, 0, "", target), status, (), old)
        elif stat.S_ISFIFO(kind):
            entry = self._attributes(Entry(name, FIFO, 0, 0, 0, 0), status, (), old)
        else:
            # A whiteout of overlayfs (a 0:0 device): the entry below is gone. Or a socket, which belongs to a process
            # and not to an environment. Other devices can't be made. What they hide stays hidden.
            entries.pop(name, None)
            return
        if old is None and path in self._mounted and self._is_bare(entry):
            return  # created as a mount point
        entries[name] = entry

    def _is_bare(self, entry: Entry) -> bool:
        return not self._trees.load(entry.digest) if entry.kind == DIRECTORY else entry.size == 0

    def _inner(self, held: int, name: bytes, path: bytes, old: Entry | None) -> Entry:
        inner = os.open(name, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=held)
        try:
            if old is not None and old.kind != DIRECTORY:
                old = None
            xattrs, marks = read_xattrs(inner)
            opaque = OPAQUE in marks and os.getxattr(inner, OPAQUE) == b"y"
            entries = self._directory(inner, path, None if old is None or opaque else old.digest)
            entry = self._attributes(Entry(name, DIRECTORY, 0, 0, 0, 0), os.fstat(inner), xattrs, old)
            return entry._replace(digest=self._trees.save(entries.values()))
        finally:
            os.close(inner)

    def _file(self, held: int, name: bytes, path: bytes, old: Entry | None) -> Entry:
        # O_NONBLOCK: if it has become a FIFO, opening it must not wait for a writer.
        flags = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
        descriptor = os.open(name, flags, dir_fd=held)
        try:
            status = os.fstat(descriptor)
            if not stat.S_ISREG(status.st_mode):
                raise KindChanged
            entry = self._attributes(Entry(name, FILE, 0, 0, 0, 0), status, read_xattrs(descriptor)[0], old)
            if status.st_size <= MAX_WHOLE:
                content = _read(descriptor, status.st_size)
                entry = entry._replace(digest=sha256_of(content), size=len(content))
                return entry if entry == old else self._objects.add(entry, content)
            known = self._hash(descriptor, entry, status, os.fsdecode(path))
            if known == old or self._objects.has(known):
                return known
            # Read again and store what is read now: it may have changed since it was hashed.
            os.lseek(descriptor, 0, os.SEEK_SET)
            return self._objects.add(entry, descriptor)
        finally:
            os.close(descriptor)

    def _hash(self, descriptor: int, entry: Entry, status: os.stat_result, path: str) -> Entry:
        """Return the entry with its digest; a file with several names is read once unless somebody writes to it."""
        identity = (status.st_ino, status.st_ctime_ns)
        before = self._hashed.get(identity)
        if before is not None:
            self._allowance.take(path, status.st_size)
            return entry._replace(digest=before.digest, size=before.size)
        if has_holes(status):
            self._allowance.take(path, size_of_holes(descriptor, status.st_size))
        hashed = _hashed(descriptor, entry, status)
        if status.st_nlink > 1:
            self._hashed[identity] = hashed
        return hashed

    def _attributes(self, entry: Entry, status: os.stat_result, xattrs: Xattrs, old: Entry | None) -> Entry:
        entry = with_attributes(entry, status, xattrs, self._limit)
        if not self._owners:
            # With a single id, everything seems to belong to root: keep the recorded owner.
            uid, gid = (old.uid, old.gid) if old is not None else (0, 0)
            entry = entry._replace(uid=uid, gid=gid)
        return entry


def _chunks(descriptor: int, size: int) -> Iterator[bytes]:
    """Yield `size` bytes of a file, or fewer if it shrank; data appended meanwhile is not read."""
    while size and (chunk := os.read(descriptor, min(size, MAX_WHOLE))):
        yield chunk
        size -= len(chunk)


def _read(descriptor: int, size: int) -> bytes:
    return b"".join(_chunks(descriptor, size))


def _hashed(descriptor: int, entry: Entry, status: os.stat_result) -> Entry:
    state, size = sha256(), 0
    whole = status.st_size
    pieces = (piece for piece, _ in parts(descriptor, whole)) if has_holes(status) else _chunks(descriptor, whole)
    for chunk in pieces:
        state.update(chunk)
        size += len(chunk)
    return entry._replace(digest=state.hexdigest(), size=size)
