"""What steps printed, whole: files in the pool, written as the output comes and named by its digest at the end."""

from __future__ import annotations

import os

from envbuild.digest import Sha256
from envbuild.store.database import NOT_ITSELF, PartDamaged
from envbuild.store.layer_check import hash_of
from envbuild.store.objects import Objects
from envbuild.store.step_cache import MAX_OUTPUT
from envbuild.tree.entry import EMPTY_CONTENT, FILE, Digest, Entry, object_id

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import BinaryIO

_KIND = Entry(b"output", FILE, 0o600, 0, 0, 0)


class OutputWriter:
    """Takes the output of one step. Memory holds only its last `tail` bytes, the disk only the first `most`: what comes
    after those is counted, and a line at the end says that it is not there."""

    def __init__(self, path: str, objects: Objects, tail: int = 1 << 16, most: int = MAX_OUTPUT) -> None:
        self._path = path
        self._objects = objects
        self._file: BinaryIO | None = None
        self._state = Sha256()
        self._tail = b""
        self._keep = tail
        self._most = most
        self._last = b"\n"
        self.size = 0

    def write(self, data: bytes) -> None:
        """Add some output."""
        self._put(data[: max(0, self._most - self.size)])
        self.size += len(data)
        self._tail = (self._tail + data)[-self._keep :]

    @property
    def tail(self) -> bytes:
        """The end of what came so far."""
        return self._tail

    def finish(self) -> Digest:
        """Put the output into the pool, and return its digest."""
        if self.size > self._most:
            lost = self.size - self._most
            line = f"[envbuild: cut here: {lost} bytes more were printed; {self._most} are kept (--output-limit)]\n"
            self._put((b"" if self._last == b"\n" else b"\n") + line.encode())
        if self._file is None:
            return EMPTY_CONTENT
        self._file.close()
        digest = self._state.hexdigest()
        self._objects.put(self._path, self._objects.where(output_object(digest)))
        return digest

    def _put(self, data: bytes) -> None:
        if data:
            if self._file is None:  # most steps print nothing
                self._file = open(self._path, "wb")  # noqa: SIM115 - closed by finish(), which every owner calls
            self._file.write(data)
            self._state.update(data)
            self._last = data[-1:]


def output_object(digest: Digest) -> Digest:
    """Return the id of the object that holds the output of this digest. The attributes are only part of its name."""
    return object_id(_KIND._replace(digest=digest))


def open_output(objects: Objects, digest: Digest) -> int | None:
    """Return a descriptor of the output, None where it is empty or was removed. Raises StoreDamaged."""
    if digest == EMPTY_CONTENT:
        return None
    path = objects.where(output_object(digest))
    try:
        if hash_of(path) != digest:
            raise PartDamaged(
                "what a step printed",
                NOT_ITSELF,
                "its tree is not touched by that; run it again to have the output: envbuild build RECIPE --rerun LINE",
            )
        return os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except FileNotFoundError:
        return None
