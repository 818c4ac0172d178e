"""One line on a terminal that says how far a long command is; gone when the command is done."""

from __future__ import annotations

import time

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import TextIO

DELAY = 1.0
"""Seconds before the line is shown: what is done by then needs none."""
INTERVAL = 0.1
"""Seconds between two drawings of it."""
_BAR = 24
_CLEAR = "\r\x1b[K"


class ProgressLine:
    """Call it with what is worked on, how much is done and how much there is. Use it as a context manager."""

    def __init__(self, stream: TextIO, *, shown: bool) -> None:
        self._stream = stream
        self._next = time.monotonic() + DELAY if shown else float("inf")
        self._drawn = False

    def __enter__(self) -> ProgressLine:
        return self

    def __exit__(self, *_: object) -> None:
        if self._drawn:
            self._stream.write(_CLEAR)
            self._stream.flush()

    def __call__(self, what: str, done: int, total: int) -> None:
        now = time.monotonic()
        if now < self._next:
            return
        self._next, self._drawn = now + INTERVAL, True
        filled = _BAR * done // max(1, total)
        share = 100 * done // max(1, total)
        self._stream.write(f"{_CLEAR}{what} [{'#' * filled}{' ' * (_BAR - filled)}] {share:3d}%")
        self._stream.flush()
