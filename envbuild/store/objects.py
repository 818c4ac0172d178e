"""The pool of file contents: one inode for each distinct (content, mode, owner, time, extended attributes).

`objects/ab/REST` is the object whose id (tree.entry.object_id) is abREST. Layers hold hard links to it. Two equal
files in one mounted tree must not be one inode, though: overlayfs shows the inode number of the layer, and `cp a b`
or `install` then refuse with "are the same file". So the second and later occurrences in a tree use the siblings
`REST.1`, `REST.2`, which are pooled in the same way.
"""

from __future__ import annotations

import errno
import os

from envbuild.contexts import contextmanager
from envbuild.digest import Sha256, sha256_of
from envbuild.errors import WorkFailed, fields
from envbuild.linux.attributes import apply_attributes
from envbuild.linux.sparse_files import has_holes, parts
from envbuild.store import failpoints
from envbuild.store.database import NOT_ITSELF, PartDamaged
from envbuild.store.layer_check import hash_of, matches
from envbuild.store.missing_objects import Lost, put_aside
from envbuild.store.promised import Promised
from envbuild.store.step_cache import ContentChanged
from envbuild.store.work_area import WorkArea
from envbuild.tree.entry import Digest, Entry, object_id

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    from envbuild.tree.lookup import Trees

_CHUNK = 1 << 20
MAX_READ = 64 << 20
"""Bytes of a file that is read into memory."""
_MISSING = "is missing"


@fields
class TooLargeToRead(WorkFailed):
    """A file that is to be read whole has more bytes than any such file."""

    entry: Entry
    most: int

    def text(self) -> tuple[str, str]:
        return (
            f"the file {_shown(self.entry)!a} has {self.entry.size:,} bytes, and is read up to {self.most:,}",
            "make it smaller, or remove it in a step",
        )


class Objects:
    """The pool of one store. `owners` is False where this user can't give files to others."""

    def __init__(self, path: str, work: WorkArea, lost: Lost, promised: Promised) -> None:
        self.path = path
        # To an ordinary user outside of a namespace of its own, owners look otherwise than trees have them.
        self.owners = os.geteuid() == 0
        self._work = work
        self._lost = lost
        self._promised = promised
        self._folders: set[str] = set()
        self._sound: set[str] = set()
        self._beside = ""

    @contextmanager
    def beside(self, folder: str) -> Iterator[None]:
        """Find contents in `folder`, too, which has the form of the pool, and add there what the pool lacks: what is
        only looked at, and not to be kept."""
        self._beside = folder
        try:
            yield
        finally:
            self._beside = ""

    def where(self, identity: Digest, copy: int = 0) -> str:
        """Return the path of an object's n-th inode, whether it exists or not."""
        folder = f"{self.path}/{identity[:2]}"
        if self._beside and not os.path.lexists(f"{folder}/{identity[2:]}"):
            folder = f"{self._beside}/{identity[:2]}"
        if folder not in self._folders:
            if not os.path.isdir(folder):
                os.makedirs(folder, mode=0o700, exist_ok=True)
            self._folders.add(folder)
        return f"{folder}/{identity[2:]}.{copy}" if copy else f"{folder}/{identity[2:]}"

    def has(self, entry: Entry) -> bool:
        """Tell whether the file `entry` is in the pool."""
        return os.path.exists(self.where(object_id(entry)))

    def open(self, entry: Entry) -> int:
        """Return a descriptor of the file's content, verified. Raises StoreDamaged."""
        path = self.where(object_id(entry))
        self.check(entry, path)
        return os.open(path, os.O_RDONLY | os.O_CLOEXEC)

    def read(self, entry: Entry, most: int = MAX_READ) -> bytes:
        """Return the file's bytes, verified. Raises StoreDamaged, and TooLargeToRead for more than `most`: a file with
        holes costs nothing, and would fill the memory."""
        if entry.size > most:
            raise TooLargeToRead(entry, most)
        with open(self.open(entry), "rb") as file:
            return file.read()

    def check(self, entry: Entry, path: str) -> None:
        """Make sure that the inode of the pool at `path` is what `entry` says, once for each process that uses it.

        Puts it aside and raises StoreDamaged if it is not, or is missing. What a light capture promised is brought.
        """
        if path in self._sound:
            return
        reason = self._reason(entry, path)
        if reason == _MISSING and self._promised.bring(entry, self):
            reason = self._reason(entry, path)
        if reason:
            if reason != _MISSING:
                self._put_aside(path)
            self._lost.add(object_id(entry))
            raise PartDamaged(f"the content of {_shown(entry)}", reason)
        self._sound.add(path)

    def bring(self, trees: Trees, tree: Digest) -> None:
        """Bring all contents of a tree that were only promised (promised.py). Raises ContentPromised."""
        if self._promised.any():
            self._promised.bring_all(trees, tree, self)

    def check_all(self, entry: Entry) -> None:
        """Put every inode of an object aside that is not what `entry` says."""
        identity = object_id(entry)
        folder = os.path.dirname(self.where(identity))
        for name in os.listdir(folder):
            if name.partition(".")[0] == identity[2:]:
                self._sound.discard(f"{folder}/{name}")
                if self._reason(entry, f"{folder}/{name}"):
                    self._put_aside(f"{folder}/{name}")
        if not self.has(entry):
            self._lost.add(identity)

    def identities(self) -> set[Digest]:
        """Return the ids of all objects that have their first inode."""
        return {
            folder + name
            for folder in os.listdir(self.path)
            for name in os.listdir(f"{self.path}/{folder}")
            if "." not in name
        }

    def changed_since(self, nanoseconds: int) -> list[str]:
        """Return the paths of all inodes of the pool that were changed after this time."""
        changed = []
        for folder in os.listdir(self.path):
            with os.scandir(f"{self.path}/{folder}") as items:
                changed += [item.path for item in items if item.stat(follow_symlinks=False).st_ctime_ns > nanoseconds]
        return changed

    def _reason(self, entry: Entry, path: str) -> str:
        """Return what is wrong with an inode of the pool, "" if nothing is."""
        try:
            status = os.lstat(path)
        except FileNotFoundError:
            return _MISSING
        if not matches(path, entry, status, owners=self.owners):
            return "has other attributes than its entry"
        return "" if hash_of(path) == entry.digest else NOT_ITSELF

    def _put_aside(self, path: str) -> None:
        self._sound.discard(path)
        if os.access(self.path, os.W_OK):
            put_aside(path, os.path.dirname(self.path))

    def add(self, entry: Entry, source: bytes | int | None) -> Entry:
        """Put a file into the pool and return its entry with digest and size filled in.

        `source` is its bytes, or a descriptor that is read to its end from where it stands. With a digest in
        `entry`, other content raises ContentChanged.
        """
        known = ""
        if isinstance(source, bytes) and not entry.digest:
            known = sha256_of(source)
            entry = entry._replace(digest=known, size=len(source))
        if entry.digest and isinstance(source, bytes) and self.has(entry):
            return entry
        with self._work.file() as temporary:
            entry = self.write(temporary, entry, source, known)
            self.adopt(temporary, self.where(object_id(entry)), entry)
        return entry

    def write(self, path: str, entry: Entry, source: bytes | int | None, known: Digest = "") -> Entry:
        """Write a file as it lies in the pool, to a path elsewhere in the store, and return its entry with digest and
        size filled in; `known` is the digest of bytes that were hashed already."""
        digest, size = _write(path, source, known)
        if entry.digest and entry.digest != digest:
            raise ContentChanged(_shown(entry))
        entry = entry._replace(digest=digest, size=size)
        apply_attributes(path, entry, owners=self.owners)
        return entry

    def alter(self, old: Entry, new: Entry) -> Entry:
        """Put the content of `old` into the pool with the attributes of `new`, and return that entry."""
        new = new._replace(digest=old.digest, size=old.size)
        if not self.has(new):
            descriptor = self.open(old)
            try:
                self.add(new, descriptor)
            finally:
                os.close(descriptor)
        return new

    def adopt(self, path: str, pooled: str, entry: Entry) -> bool:
        """Link a finished file into the pool as an inode for `entry`; False if a sound one was there before."""
        failpoints.at(failpoints.OBJECT)
        while True:
            try:
                os.link(path, pooled, follow_symlinks=False)
            except FileExistsError:
                if pooled in self._sound:
                    return False
                if self._reason(entry, pooled):
                    self._put_aside(pooled)
                    continue
                self._sound.add(pooled)
                return False
            self._sound.add(pooled)
            return True

    def put(self, path: str, pooled: str) -> None:
        """Move a finished file that no layer has into the pool, in the place of one that may be there."""
        failpoints.at(failpoints.OBJECT)
        os.replace(path, pooled)

    def link(self, entry: Entry, identity: Digest, occurrence: int, target: str) -> None:
        """Make `target` a hard link of the inode for this occurrence of a file in its tree (0 for the first)."""
        while True:
            pooled = self.where(identity, occurrence)
            try:
                if pooled not in self._sound and os.path.exists(pooled):
                    self._check_occurrence(entry, pooled, occurrence)
                os.link(pooled, target, follow_symlinks=False)
                return
            except FileNotFoundError:
                if occurrence == 0:
                    if self._promised.bring(entry, self) and os.path.exists(pooled):
                        continue
                    self._lost.add(identity)
                    raise PartDamaged(f"the content of {_shown(entry)}", _MISSING) from None
                self._make_sibling(entry, pooled)
            except OSError as error:
                # A file system allows only so many links to one inode: 65,000 on ext4.
                if error.errno != errno.EMLINK:
                    raise
                occurrence += 1

    def _check_occurrence(self, entry: Entry, pooled: str, occurrence: int) -> None:
        if occurrence == 0:
            self.check(entry, pooled)
        elif self._reason(entry, pooled):
            self._put_aside(pooled)  # a copy: the first inode gives another one
        else:
            self._sound.add(pooled)

    def _make_sibling(self, entry: Entry, pooled: str) -> None:
        source = self.open(entry)
        try:
            with self._work.file() as temporary:
                _write(temporary, source)
                apply_attributes(temporary, entry, owners=self.owners)
                self.adopt(temporary, pooled, entry)
        finally:
            os.close(source)


def _write(path: str, source: bytes | int | None, known: Digest = "") -> tuple[Digest, int]:
    """Write a file, and return its digest, which is `known` of some bytes already, and its size."""
    if known:
        assert isinstance(source, bytes)
        with open(path, "wb", buffering=0) as file:
            _write_all(file.fileno(), source)
        return known, len(source)
    state = Sha256()
    size = 0
    with open(path, "wb", buffering=0) as file:
        if isinstance(source, int):
            status = os.fstat(source)
            if has_holes(status) and os.lseek(source, 0, os.SEEK_CUR) == 0:
                return _write_parts(file.fileno(), source, status.st_size)
            while chunk := os.read(source, _CHUNK):
                _write_all(file.fileno(), chunk)
                state.update(chunk)
                size += len(chunk)
        elif source:
            _write_all(file.fileno(), source)
            state.update(source)
            size = len(source)
    return state.hexdigest(), size


def _write_parts(target: int, source: int, length: int) -> tuple[Digest, int]:
    """Copy a file with holes, which stay holes."""
    state = Sha256()
    size = 0
    for piece, hole in parts(source, length):
        state.update(piece)
        if hole:
            os.lseek(target, len(piece), os.SEEK_CUR)
        else:
            _write_all(target, piece)
        size += len(piece)
    os.ftruncate(target, size)
    return state.hexdigest(), size


def _write_all(descriptor: int, data: bytes | memoryview) -> None:
    view = memoryview(data)
    while view:
        view = view[os.write(descriptor, view) :]


def _shown(entry: Entry) -> str:
    return entry.name.decode(errors="backslashreplace") or entry.digest[:12]
