"""Places for threads that work at the same time, cheap to import (latch.py)."""

from __future__ import annotations

from _queue import Empty, SimpleQueue


class Slots:
    """So many places: a thread takes one and gives it back, or waits for one. `with` does both."""

    def __init__(self, count: int) -> None:
        self._left: SimpleQueue[None] = SimpleQueue()
        for _ in range(count):
            self._left.put(None)

    def acquire(self, *, blocking: bool = True) -> bool:
        """Take a place; return whether there was one, if it does not wait."""
        try:
            self._left.get(blocking)
        except Empty:
            return False
        return True

    def release(self) -> None:
        """Give a place back."""
        self._left.put(None)

    def __enter__(self) -> None:
        self.acquire()

    def __exit__(self, *_: object) -> None:
        self.release()
