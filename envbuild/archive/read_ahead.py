"""Reads a stream in a thread of its own, ahead of whoever takes it: reading, uncompressing and hashing then use another
processor than what is done with the content."""

from __future__ import annotations

import threading
from collections.abc import Callable
from hashlib import sha256
from queue import Queue
from types import TracebackType

from envbuild.archive.tar import Source

_CHUNK = 1 << 20
_AHEAD = 4
"""Chunks that wait at most."""


class ReadAhead:
    """A source of bytes with the digest of all of them. Used with `with`: in the end its thread is gone."""

    def __init__(self, source: Source, report: Callable[[], None] = lambda: None) -> None:
        """`report` is called after each piece that was taken."""
        self._source = source
        self._report = report
        self._state = sha256()
        self._chunks: Queue[bytes | BaseException] = Queue(_AHEAD)
        self._stopped = False
        self._chunk = b""
        self._at = 0
        self._ended = False
        self.verified = source.verified
        self._thread = threading.Thread(target=self._fill, name="read-ahead", daemon=True)

    def __enter__(self) -> ReadAhead:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stopped = True
        while not self._ended:
            self._take()
        self._thread.join()

    def read(self, size: int) -> bytes:
        """Return at most `size` bytes; b"" at the end. Raises what the source does."""
        if self._at == len(self._chunk):
            if self._ended:
                return b""
            chunk = self._take()
            if isinstance(chunk, BaseException):
                raise chunk
            self._chunk, self._at = chunk, 0
            self._report()
        data = self._chunk[self._at : self._at + size]
        self._at += len(data)
        return data

    def digest(self) -> str:
        """Return the digest of all of it, of which the rest is read."""
        while self.read(_CHUNK):
            pass
        return f"sha256:{self._state.hexdigest()}"

    def _take(self) -> bytes | BaseException:
        chunk = self._chunks.get()
        self._ended = isinstance(chunk, BaseException) or not chunk
        return chunk

    def _fill(self) -> None:
        chunk: bytes | BaseException = b"."
        while chunk and not isinstance(chunk, BaseException):
            try:
                chunk = self._source.read(_CHUNK) if not self._stopped else b""
                self._state.update(chunk)
            except BaseException as error:  # raised where the bytes are taken
                chunk = error
            self._chunks.put(chunk)
