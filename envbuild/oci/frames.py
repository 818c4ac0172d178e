"""Compresses a stream in pieces that stand for themselves, on as many threads as there are processors.

Each piece is a whole frame of zstd (RFC 8878) or member of gzip (RFC 1952), which all readers take one after another.
So the bytes don't depend on how many threads there are, and a piece can be fetched alone: behind the frames of zstd
stands a table of their sizes, in the form of zstd's `seekable_format`, in a frame that other readers skip. Which
bytes a piece becomes may differ from one version of the compressor to the next; the digest of what is inside does not.
Large files have pieces of their own and small ones share short pieces, so that whoever lacks a few files needs few
bytes: on 400 MB of programs that costs half a hundredth more than long pieces.
"""

from __future__ import annotations

import struct
import threading
import zlib
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from hashlib import sha256
from typing import BinaryIO

from envbuild.record import Record

ZSTD, GZIP, PLAIN = "zstd", "gzip", "none"
PIECE = 2 << 20
"""Bytes of a large file before compression: enough for zstd's window at its level."""
SHARED = 128 << 10
"""Bytes of small files that share a piece, and from which a file is a large one."""
ZSTD_LEVEL, GZIP_LEVEL = 2, 6
"""Programs come out as small as with gzip's 6 in a tenth of its time, 5 % larger than with zstd's 3 in 0.6 of that."""
_SKIPPABLE, _SEEKABLE = 0x184D2A5E, 0x8F92EAB1
_GZIP_WINDOW = 31
"""zlib's largest window, with gzip's header, which says no time (zlib's manual, "deflateInit2")."""


Index = Callable[[Sequence[tuple[int, int]]], bytes | None]


class Finished(Record):
    """A file that was written: the sha256 of it and of what is inside, where its frames end, and the frame behind
    them that is an index, if there is one."""

    digest: str
    inside: str
    end: int
    index: bytes | None


class FrameWriter:
    """Writes what it is given, compressed, to a file. The pieces end after PIECE bytes and where `cut` is called."""

    def __init__(self, file: BinaryIO, compression: str, threads: int) -> None:
        self._file = file
        self._compression = compression
        self._pool = ThreadPoolExecutor(threads)
        self._waiting: deque[Future[tuple[bytes, int]]] = deque()
        self._most_waiting = 2 * threads
        self._piece: list[bytes] = []
        self._piece_size = 0
        self._frames: list[tuple[int, int]] = []
        self._inside = sha256()
        self._outside = sha256()
        self._compress = _compressor(compression)
        self.size = 0
        """Bytes that were given to it."""

    def write(self, data: bytes) -> None:
        """Take more of the stream."""
        self._inside.update(data)
        self.size += len(data)
        self._piece.append(data)
        self._piece_size += len(data)
        if self._piece_size >= PIECE:
            self._end_piece()

    def cut(self, least: int = 0) -> None:
        """End the piece here, if it has so many bytes."""
        if self._piece_size >= least:
            self._end_piece()

    def finish(self, index: Index = lambda _: None) -> Finished:
        """Write all that is left. `index` returns, of the sizes of all frames compressed and not, one that readers skip
        and that is put behind them, or None."""
        self._end_piece()
        while self._waiting:
            self._put(*self._waiting.popleft().result())
        self._pool.shutdown()
        skipped = index(self._frames) if self._compression == ZSTD else None
        offset = sum(packed for packed, _ in self._frames)
        if skipped is not None:
            self._put(skipped, 0)
        if self._compression == ZSTD:
            self._write(_seek_table(self._frames))
        return Finished(self._outside.hexdigest(), self._inside.hexdigest(), offset, skipped)

    def abandon(self) -> None:
        """End the threads."""
        self._pool.shutdown(cancel_futures=True)

    def _end_piece(self) -> None:
        if not self._piece:
            return
        data = b"".join(self._piece)
        self._piece, self._piece_size = [], 0
        self._waiting.append(self._pool.submit(lambda: (self._compress(data), len(data))))
        while len(self._waiting) > self._most_waiting:
            self._put(*self._waiting.popleft().result())

    def _put(self, frame: bytes, size: int) -> None:
        self._frames.append((len(frame), size))
        self._write(frame)

    def _write(self, data: bytes) -> None:
        self._outside.update(data)
        self._file.write(data)


def _compressor(compression: str) -> Callable[[bytes], bytes]:
    if compression == PLAIN:
        return lambda data: data
    if compression == GZIP:

        def gzip(data: bytes) -> bytes:
            stream = zlib.compressobj(GZIP_LEVEL, zlib.DEFLATED, _GZIP_WINDOW)
            return stream.compress(data) + stream.flush()

        return gzip
    from zstandard import ZstdCompressor

    own = threading.local()  # a compressor is for one thread at a time

    def zstd(data: bytes) -> bytes:
        if not hasattr(own, "compressor"):
            own.compressor = ZstdCompressor(level=ZSTD_LEVEL, write_checksum=True, write_content_size=True)
        return bytes(own.compressor.compress(data))

    return zstd


def _seek_table(frames: list[tuple[int, int]]) -> bytes:
    body = b"".join(struct.pack("<II", *frame) for frame in frames)
    body += struct.pack("<IBI", len(frames), 0, _SEEKABLE)
    return struct.pack("<II", _SKIPPABLE, len(body)) + body
