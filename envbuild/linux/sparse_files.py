"""Files with holes, and the limit on what nobody wrote.

A hole costs its writer nothing, and so does one more name of a file; whoever reads or copies them in full pays for each
byte. So holes are hashed from one block of zeros and stay holes in copies, and what a step or an instance left may
have only so many bytes that were never written.
"""

from __future__ import annotations

import errno
import os
import time

from envbuild.errors import WorkFailed, fields

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator


CHUNK = 1 << 20
_ZEROS = memoryview(bytes(CHUNK))
MAX_UNWRITTEN = 16 << 30
"""Bytes of holes and of further names that what is kept may have, where the user says nothing else
($ENVBUILD_SPARSE_LIMIT)."""


@fields
class TooSparse(WorkFailed):
    """Files have more bytes that nobody wrote than may be kept."""

    path: str
    limit: int

    def text(self) -> tuple[str, str]:
        return (
            f"more than {self.limit:,} bytes were never written: holes of files, or further names of one file "
            f"(at {self.path[:200]})",
            "make such files smaller, `discard` them, or allow more: ENVBUILD_SPARSE_LIMIT=100g",
        )


@fields
class TookTooLong(WorkFailed):
    """The time ran out while what was left was read."""

    def text(self) -> tuple[str, str]:
        return (
            "its time limit ran out while what it left was read",
            "give it more time (timeout=), let it write less, or `discard` what nobody needs",
        )


class Allowance:
    """What may be read of the files that are kept: so many bytes that nobody wrote, until a moment
    (time.monotonic, None for no end)."""

    def __init__(self, unwritten: int | None = None, deadline: float | None = None) -> None:
        self._unwritten = self._left = MAX_UNWRITTEN if unwritten is None else unwritten
        self._deadline = deadline

    def take(self, path: str, size: int) -> None:
        """Count bytes that nobody wrote. Raises TooSparse."""
        self._left -= size
        if self._left < 0:
            raise TooSparse(path, self._unwritten)

    def check_time(self) -> None:
        """Raise TookTooLong after the moment."""
        if self._deadline is not None and time.monotonic() > self._deadline:
            raise TookTooLong


def has_holes(status: os.stat_result) -> bool:
    """Tell whether a file is worth asking for its holes."""
    return status.st_blocks * 512 < status.st_size > CHUNK


def size_of_holes(descriptor: int, size: int) -> int:
    """Return the bytes of a file of this size that nobody wrote. What a file system stores compressed is no hole."""
    return size - sum(length for _, length in data_of(descriptor, size))


def data_of(descriptor: int, size: int) -> Iterator[tuple[int, int]]:
    """Return the offset and length of each part of a file of this size that somebody wrote, in order."""
    position = 0
    while (data := _sought(descriptor, position, os.SEEK_DATA, size)) < size:
        position = _sought(descriptor, data, os.SEEK_HOLE, size)
        if position > data:
            yield data, position - data


def parts(descriptor: int, size: int) -> Iterator[tuple[bytes | memoryview, bool]]:
    """Return the content of a file of this size from its beginning, in pieces, each with whether it is of a hole."""
    position = 0
    for start, length in data_of(descriptor, size):
        yield from _zeros(start - position)
        position, end = start, start + length
        while position < end:
            chunk = os.pread(descriptor, min(CHUNK, end - position), position)
            if not chunk:
                return  # made shorter meanwhile
            yield chunk, False
            position += len(chunk)
    yield from _zeros(size - position)


def _zeros(length: int) -> Iterator[tuple[memoryview, bool]]:
    while length > 0:
        piece = _ZEROS[: min(CHUNK, length)]
        yield piece, True
        length -= len(piece)


def _sought(descriptor: int, position: int, whence: int, size: int) -> int:
    try:
        return min(os.lseek(descriptor, position, whence), size)
    except OSError as error:
        if error.errno != errno.ENXIO:
            raise
        return size  # nothing but a hole from here on
