"""Contents that come into the pool together, when a capture is whole, or not at all.

They lie in a folder of the capture's own on the pool's file system, under the names that they will have: what a capture
that fails or is killed wrote goes away with that folder, so that a full disk is not left full. Several processes write
here in parallel.
"""

from __future__ import annotations

import os
from hashlib import sha256

from envbuild.linux.attributes import apply_to_open_file
from envbuild.linux.sparse_files import Allowance, has_holes, parts, size_of_holes
from envbuild.store import failpoints
from envbuild.tree.entry import Entry, object_id

SMALL = 1 << 20
"""Bytes of a file that is hashed before anything is written: what is in the pool already is not written again."""
_NEW = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC


class StagedContents:
    """The folder of one capture, used by one process. `owners` is False where owners can't be changed."""

    def __init__(self, folder: str, pool: str, allowance: Allowance, *, owners: bool) -> None:
        self._folder = folder
        self._pool = pool
        self._allowance = allowance
        self._owners = owners
        self._made: set[str] = set()

    def add(self, entry: Entry, opened: int, status: os.stat_result) -> Entry:
        """Take what a file has now, up to the size in `status` and no more: one that grows without end has an end.
        Return the entry with digest and size. Raises OSError and TooSparse."""
        if status.st_size <= SMALL:
            return self.add_bytes(entry, _read(opened, status.st_size))
        return self._add_large(entry, opened, status)

    def add_bytes(self, entry: Entry, content: bytes) -> Entry:
        """Take a content. Return the entry with digest and size."""
        entry = entry._replace(digest=sha256(content).hexdigest(), size=len(content))
        identity = object_id(entry)
        place = self._place(identity)
        if os.path.exists(f"{self._pool}/{identity[:2]}/{identity[2:]}"):
            return entry
        try:
            written = os.open(place, _NEW, 0o600)
        except FileExistsError:
            return entry
        try:
            _write(written, content)
            apply_to_open_file(written, entry, owners=self._owners)
        finally:
            os.close(written)
        return entry

    def _add_large(self, entry: Entry, opened: int, status: os.stat_result) -> Entry:
        if has_holes(status):
            self._allowance.take(os.fsdecode(entry.name), size_of_holes(opened, status.st_size))
        temporary = f"{self._folder}/{os.getpid()}"
        written = os.open(temporary, _NEW, 0o600)
        try:
            state = sha256()
            size = 0
            for piece, hole in parts(opened, status.st_size):
                state.update(piece)
                if hole:
                    os.lseek(written, len(piece), os.SEEK_CUR)
                else:
                    _write(written, piece)
                size += len(piece)
            os.ftruncate(written, size)
            entry = entry._replace(digest=state.hexdigest(), size=size)
            apply_to_open_file(written, entry, owners=self._owners)
            os.rename(temporary, self._place(object_id(entry)))
        except BaseException:
            os.unlink(temporary)
            raise
        finally:
            os.close(written)
        return entry

    def _place(self, identity: str) -> str:
        folder = f"{self._folder}/{identity[:2]}"
        if folder not in self._made:
            os.makedirs(folder, mode=0o700, exist_ok=True)
            self._made.add(folder)
        return f"{folder}/{identity[2:]}"


def keep(folder: str, pool: str, part: int, of: int) -> None:
    """Move what is staged in a folder into the pool, or the share `part` of it, where `of` processes do it in parallel.
    What the pool got meanwhile stays as it is."""
    for name in sorted(os.listdir(folder)):
        if len(name) != 2 or int(name, 16) % of != part:
            continue
        target = f"{pool}/{name}"
        os.makedirs(target, mode=0o700, exist_ok=True)
        for rest in os.listdir(f"{folder}/{name}"):
            if not os.path.exists(f"{target}/{rest}"):
                failpoints.at(failpoints.OBJECT)
                os.rename(f"{folder}/{name}/{rest}", f"{target}/{rest}")


def _read(opened: int, size: int) -> bytes:
    content = os.read(opened, size) if size else b""
    if len(content) == size:
        return content
    pieces = [content]
    left = size - len(content)
    while left and (piece := os.read(opened, left)):
        pieces.append(piece)
        left -= len(piece)
    return b"".join(pieces)


def _write(descriptor: int, data: bytes | memoryview) -> None:
    view = memoryview(data)
    while view:
        view = view[os.write(descriptor, view) :]
