"""What went through the published ports of an instance, counted while it is moved.

The one thread that moves it adds to two numbers and writes them, now and then, into a file of the instance's folder:
whoever looks at it needs no answer of a supervisor, which may be busy or stopped.
"""

from __future__ import annotations

import os
import time

WRITE_EVERY = 0.5
"""Seconds between two writes while bytes are moved."""
_FILE = "traffic"
_FORM = "{:020d} {:020d}\n"
_LENGTH = len(_FORM.format(0, 0))


class Count:
    """Bytes in one direction."""

    __slots__ = ("bytes",)

    def __init__(self) -> None:
        self.bytes = 0


class PortTraffic:
    """Bytes `inward`, to the instance, and `outward`. All methods belong to one thread."""

    def __init__(self, folder: str) -> None:
        self.inward = Count()
        self.outward = Count()
        self._path = f"{folder}/{_FILE}"
        self._descriptor = -1
        self._written = (0, 0)
        self._due = 0.0

    def begin(self) -> None:
        """Write that nothing was moved yet: what an earlier run moved does not count."""
        try:
            self._descriptor = os.open(self._path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
        except OSError:
            return  # the disk is full or broken: the instance runs all the same
        self._write((0, 0))

    def seconds(self) -> float | None:
        """Return in how many seconds something is to be written, None if there is nothing."""
        if (self.inward.bytes, self.outward.bytes) == self._written:
            return None
        return max(0.0, self._due - time.monotonic())

    def tell(self) -> None:
        """Write what was moved, if it is time to."""
        if self.seconds() == 0.0:
            self._write((self.inward.bytes, self.outward.bytes))

    def close(self) -> None:
        """Write what is left."""
        self._write((self.inward.bytes, self.outward.bytes))
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1

    def _write(self, moved: tuple[int, int]) -> None:
        self._written = moved
        self._due = time.monotonic() + WRITE_EVERY
        if self._descriptor >= 0:
            try:
                os.pwrite(self._descriptor, _FORM.format(*moved).encode(), 0)
            except OSError:
                pass  # as above; the next time it may be possible


def traffic_of_ports(folder: str) -> tuple[int, int]:
    """Return bytes (received, sent) through the published ports of the instance with this folder; none where it has
    none."""
    try:
        descriptor = os.open(f"{folder}/{_FILE}", os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
        try:
            words = os.read(descriptor, _LENGTH).split()
        finally:
            os.close(descriptor)
    except OSError:
        return 0, 0
    return (int(words[0]), int(words[1])) if len(words) == 2 and all(map(bytes.isdigit, words)) else (0, 0)
