"""Puts contents whose digests are known beforehand into the pool, from several threads: what is not as its digest says
never gets there."""

from __future__ import annotations

import os
import threading
from contextlib import ExitStack
from hashlib import sha256

from envbuild.linux.attributes import apply_to_open_file
from envbuild.store.objects import Objects
from envbuild.store.step_cache import ContentChanged
from envbuild.store.work_area import WorkArea
from envbuild.tree.entry import Entry, object_id

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

_CHUNK = 1 << 20
_NEW = os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC


class ContentWriter:
    """Writes into the pool of one store."""

    def __init__(self, objects: Objects, work: WorkArea) -> None:
        self._objects = objects
        self._work = work

    def put(self, entries: Sequence[Entry], content: bytes | memoryview) -> None:
        """Put files into the pool that have the same content, which is here. Raises ContentChanged."""
        _check(entries[0], sha256(content).hexdigest(), len(content))
        for entry in entries:
            with self._work.file() as path:
                descriptor = os.open(path, _NEW, 0o600)
                try:
                    _write(descriptor, content, 0)
                    self._finish(descriptor, path, entry)
                finally:
                    os.close(descriptor)

    def assemble(self, entries: Sequence[Entry]) -> Assembly:
        """Return what takes the content of such files in parts."""
        return Assembly(self, self._work, entries)

    def _finish(self, descriptor: int, path: str, entry: Entry) -> None:
        apply_to_open_file(descriptor, entry, owners=self._objects.owners)
        self._objects.put(path, self._objects.where(object_id(entry)))


class Assembly:
    """A large content that comes in parts, in any order and each of them once. Close it in the end."""

    def __init__(self, writer: ContentWriter, work: WorkArea, entries: Sequence[Entry]) -> None:
        self._writer = writer
        self._entries = entries
        self._left = entries[0].size
        self._lock = threading.Lock()
        with ExitStack() as stack:
            self._path = stack.enter_context(work.file())
            self._descriptor = os.open(self._path, _NEW, 0o600)
            stack.callback(os.close, self._descriptor)
            self._cleanup = stack.pop_all()

    def put(self, part: bytes | memoryview, offset: int) -> bool:
        """Take a part. With the last one the files are put into the pool, and True is returned. Raises
        ContentChanged."""
        _write(self._descriptor, part, offset)
        with self._lock:
            self._left -= len(part)
            if self._left:
                return False
        state = sha256()
        size = 0
        while data := os.pread(self._descriptor, _CHUNK, size):
            state.update(data)
            size += len(data)
        first, *others = self._entries
        _check(first, state.hexdigest(), size)
        self._writer._finish(self._descriptor, self._path, first)
        for entry in others:
            os.lseek(self._descriptor, 0, os.SEEK_SET)
            self._writer._objects.add(entry, self._descriptor)
        return True

    def close(self) -> None:
        """Give up what is not whole."""
        self._cleanup.close()


def _check(entry: Entry, digest: str, size: int) -> None:
    if (digest, size) != (entry.digest, entry.size):
        raise ContentChanged(entry.name.decode(errors="backslashreplace"))


def _write(descriptor: int, data: bytes | memoryview, offset: int) -> None:
    view = memoryview(data)
    while view:
        written = os.pwrite(descriptor, view, offset)
        view, offset = view[written:], offset + written
