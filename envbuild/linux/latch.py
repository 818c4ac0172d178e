"""Waiting of threads for something that happens once, cheap to import.

threading loads functools and collections with it, which is 3 ms of a start that has one thread until its command runs.
"""

from __future__ import annotations

from _thread import allocate_lock


class Latch:
    """Closed until `set`, and open from then on. Several threads may wait, and several may set it."""

    def __init__(self) -> None:
        self._open = False
        self._closed = allocate_lock()
        self._closed.acquire()

    def is_set(self) -> bool:
        """Tell whether it is open."""
        return self._open

    def set(self) -> None:
        """Open it. A signal handler may do so, too."""
        self._open = True
        self._let_on()

    def wait(self, seconds: float | None = None) -> bool:
        """Wait until it is open, or as long as that; tell whether it is open."""
        if not self._open and self._closed.acquire(timeout=-1 if seconds is None else max(0.0, seconds)):
            self._let_on()  # the next one who waits
        return self._open

    def _let_on(self) -> None:
        try:
            self._closed.release()
        except RuntimeError:
            pass  # another thread has done so
