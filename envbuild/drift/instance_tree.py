"""The files of an instance as they are now, as a tree: what differs from its image was changed since it started.

Overlayfs' upper directory is read where it lies, and nothing in it is touched. Every file is hashed; only one that the
store does not have yet is copied. A file is never linked into the store: the instance may go on writing it. Whatever is
mounted in the instance (volumes, binds, /tmp, /proc) lies elsewhere and is no part of this.
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
"""An epoch that no time is later than."""
ATTEMPTS = 3
"""How often a path is looked at that turns into another kind of thing while it is read."""
WHOLE = 1 << 20
"""Bytes up to which a file is read once, and not hashed first to see whether it is new."""
_GONE = (errno.ENOENT, errno.ENOTDIR, errno.ELOOP, errno.ESTALE, errno.ENXIO)


class Moved(Exception):
    """A path is no longer the kind of thing that it was a moment ago."""


def tree_of(store: Store, instance: Instance, *, epoch: int | None = None) -> Digest:
    """The tree that the instance has now, kept in the store. With `epoch` (seconds) no time is later.

    It may go on writing meanwhile: each file is as it was found, and what comes and goes while it is looked for is left
    out. The process has to be root of the namespace. Raises WorkFailed kinds.
    """
    store.share()
    if store.database.read_only:
        raise StoreUnusable(store.path, "it may only be read, and what an instance wrote would have to be kept in it")
    if not store.trees.has(instance.tree):
        raise WorkFailed(f"the image of {instance.name} is no longer in the store", "build it again")
    # The root's own attributes are put on `upper` after this file, right before the first start.
    if not os.path.exists(f"{instance.path}/{LAYERS}"):
        return instance.tree
    limit = NEVER if epoch is None else epoch * 1_000_000_000
    return _Reading(store, limit, mount_points(instance)).root(f"{instance.path}/upper", instance.tree)


def mount_points(instance: Instance) -> tuple[str, ...]:
    """Where the instance has something mounted, without a slash at the beginning."""
    # A mount is kind, source and target (instances/config.py, which is not for this folder to import).
    return tuple(str(one[2]).strip("/") for one in json.loads(instance.settings).get("mounts", ()))


class _Reading:
    def __init__(self, store: Store, limit: int, mounted: Iterable[str]) -> None:
        self._trees = store.trees
        self._objects = store.objects
        self._owners = store.owners_observable
        self._limit = limit
        self._allowance = Allowance(store.sparse_limit)
        self._hashed: dict[tuple[int, int], Entry] = {}
        self._mounted = frozenset(os.fsencode(path) for path in mounted)

    def root(self, upper: str, parent: Digest) -> Digest:
        """The tree that `upper` makes of `parent`."""
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
        """The entries of the merged directory that is open as `held`. `inside` is its path in the tree."""
        entries = {entry.name: entry for entry in self._trees.load(below)} if below is not None else {}
        for text in os.listdir(held):
            name = os.fsencode(text)
            path = inside + b"/" + name if inside else name
            for _ in range(ATTEMPTS):
                try:
                    self._item(held, name, path, entries)
                    break
                except Moved:
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
            # Overlayfs' mark (a 0:0 device) that what lies below is gone; or a socket, which is a process's and no
            # file of an environment. Other devices can't be made. What they hide stays hidden.
            entries.pop(name, None)
            return
        if old is None and path in self._mounted and self._is_bare(entry):
            return  # made to mount something on
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
        # O_NONBLOCK: should it have become a FIFO, opening it must not wait for a writer.
        flags = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
        descriptor = os.open(name, flags, dir_fd=held)
        try:
            status = os.fstat(descriptor)
            if not stat.S_ISREG(status.st_mode):
                raise Moved
            entry = self._attributes(Entry(name, FILE, 0, 0, 0, 0), status, read_xattrs(descriptor)[0], old)
            if status.st_size <= WHOLE:
                content = _read(descriptor, status.st_size)
                entry = entry._replace(digest=sha256_of(content), size=len(content))
                return entry if entry == old else self._objects.add(entry, content)
            known = self._hash(descriptor, entry, status, os.fsdecode(path))
            if known == old or self._objects.has(known):
                return known
            # Read again, and what is read now is what is kept: it may have changed since it was hashed.
            os.lseek(descriptor, 0, os.SEEK_SET)
            return self._objects.add(entry, descriptor)
        finally:
            os.close(descriptor)

    def _hash(self, descriptor: int, entry: Entry, status: os.stat_result, path: str) -> Entry:
        """The entry with its digest; of a file with several names it is read once, as long as nobody writes it."""
        identity = (status.st_ino, status.st_ctime_ns)
        before = self._hashed.get(identity)
        if before is not None:
            self._allowance.take(path, status.st_size)
            return entry._replace(digest=before.digest, size=before.size)
        if has_holes(status):
            self._allowance.take(path, size_of_holes(descriptor, status.st_size))
        found = _hashed(descriptor, entry, status)
        if status.st_nlink > 1:
            self._hashed[identity] = found
        return found

    def _attributes(self, entry: Entry, status: os.stat_result, xattrs: Xattrs, old: Entry | None) -> Entry:
        entry = with_attributes(entry, status, xattrs, self._limit)
        if not self._owners:
            # With a single id everything looks as if it were root's: the owner on record stays.
            uid, gid = (old.uid, old.gid) if old is not None else (0, 0)
            entry = entry._replace(uid=uid, gid=gid)
        return entry


def _chunks(descriptor: int, size: int) -> Iterator[bytes]:
    """So many bytes of a file, or fewer if it has them no longer: what is added to it meanwhile is not waited for."""
    while size and (chunk := os.read(descriptor, min(size, WHOLE))):
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
