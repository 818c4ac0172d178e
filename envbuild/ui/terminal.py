"""A build on a terminal: finished steps scroll up, running ones are drawn below them."""

from __future__ import annotations

import signal
from _thread import allocate_lock
from collections.abc import Callable
from time import monotonic
from typing import TYPE_CHECKING, TextIO, assert_never

from envbuild.build.events import (
    BuildFinished,
    BuildStarted,
    Event,
    Notice,
    StepCached,
    StepExplained,
    StepFailed,
    StepFinished,
    StepOutput,
    StepProgress,
    StepReused,
    StepStarted,
)
from envbuild.text.width import columns, cut
from envbuild.ui.build_messages import finished_in_words, headline, label, notice_lines, summary_lines
from envbuild.ui.display import Display
from envbuild.ui.explained import Explanations
from envbuild.ui.live_model import ASCII_SPINNER, SPINNER, Board, RunningStep, cached_in_brief, two_sided
from envbuild.ui.sanitize import visible
from envbuild.ui.step_failure import failure_lines
from envbuild.ui.stream import Output

if TYPE_CHECKING:
    from types import FrameType
    from typing import Self

    from envbuild.ui.live import LiveRegion

LIVE_AFTER = 0.15
"""Seconds that steps run before anything is drawn: a build that is over by then does not pay for rich."""

FRAME_EVERY = 0.1

IMAGE_DIGITS = 12
"""How much of an image's digest a terminal shows; commands take it as a name."""


class TerminalDisplay(Display):
    """One lock orders all that is written, by whichever thread.

    A timer's signal draws, and not a thread: while a base is made there must be none, as a process with threads can't
    enter the user namespace that the build needs after that. Use it in the main thread, as a context manager.
    """

    def __init__(self, stream: TextIO, colour: bool = False, clock: Callable[[], float] = monotonic) -> None:
        self._output = Output(stream, colour)
        self._unicode = self._output.encoding.lower().startswith("utf")
        self._clock = clock
        self._lock = allocate_lock()
        self._board = Board(clock(), SPINNER if self._unicode else ASCII_SPINNER)
        self._explanations = Explanations()
        self._cached_in_brief = 0
        self._worked = False
        self._closed = False
        self._handler: object = None
        self._region: LiveRegion | None = None

    def __enter__(self) -> Self:
        self._handler = signal.signal(signal.SIGALRM, self._tick)
        return self

    @property
    def lost(self) -> OSError | None:
        return self._output.lost

    def __call__(self, event: Event) -> None:
        with self._lock:
            lines = self._lines(event)
            if lines and self._region:
                self._region.above(lines, self._frame())
            else:
                self._output.write_lines(lines)

    def close(self) -> None:
        """Remove what was drawn and show the cursor. No frame is drawn afterwards."""
        if self._worked:
            signal.setitimer(signal.ITIMER_REAL, 0)
        if self._handler is not None:
            signal.signal(signal.SIGALRM, self._handler)  # type: ignore[arg-type]
            self._handler = None
        with self._lock:
            self._closed = True
            region, self._region = self._region, None
            if region:
                region.close()

    def _lines(self, event: Event) -> list[str]:
        """Return the lines that stay for this event."""
        board, paint = self._board, self._output.paint
        match event:
            case BuildStarted():
                if not board.recipe:
                    board.recipe = event.recipe
                board.planned += event.steps
                return []
            case StepStarted():
                board.start(event, self._clock())
                before, self._cached_in_brief = self._cached_in_brief, 0
                self._begin_drawing()
                return [paint(f"  {cached_in_brief(before)}", "dim")] if before else []
            case StepExplained():
                return [paint(f"  {line}", "note") for line in self._explanations.lines(event)]
            case StepCached():
                board.cached += 1
                if not self._worked:
                    self._cached_in_brief += 1
                    return []
                title = f"  #{event.step} {label(event, board.recipe)} {headline(event.text, 200)}"
                return [paint(self._fitted(title, "cached"), "dim")]
            case StepReused():
                board.cached += 1
                title = f"  #{event.step} {label(event, board.recipe)} {headline(event.text, 200)}"
                reason = f"  #{event.step} because {visible(event.reason)}"
                return [paint(self._fitted(title, "reused"), "dim"), paint(reason, "dim")]
            case StepOutput():
                board.hear(event)
                return []
            case StepProgress():
                board.progress(event)
                return []
            case StepFinished():
                return [self._ended(event.step, board.end(event.step), "good", finished_in_words(event))]
            case StepFailed():
                running = board.end(event.step)
                failed = self._ended(event.step, running, "error", "failed")
                return [*self._why(), failed, *failure_lines(event, board.recipe, self._output)]
            case Notice():
                return notice_lines(event, self._output)
            case BuildFinished():
                self._cached_in_brief = 0
                return [*self._why(), *summary_lines(event, self._output, IMAGE_DIGITS)]
            case _:
                assert_never(event)

    def _why(self) -> list[str]:
        return [self._output.paint(f"  {line}", "note") for line in self._explanations.rest()]

    def _ended(self, step: int, running: RunningStep | None, style: str, words: str) -> str:
        """Return the line that a step leaves when it ends."""
        good, bad = ("✓", "✗") if self._unicode else ("+", "!")
        title = f" #{step} {running.title}" if running else f" #{step}"
        mark = good if style == "good" else bad
        return self._output.paint(mark, style) + self._fitted(title, words, columns(mark))

    def _fitted(self, left: str, right: str, taken: int = 0) -> str:
        # The last column stays free: some terminals go to the next line when it is written.
        width = self._output.terminal_size[0] - 1 - taken
        if columns(left) + 1 + columns(right) <= width:
            return f"{left} {right}"
        return cut(two_sided(left, right, width), width)

    def _begin_drawing(self) -> None:
        if not self._worked and self._handler is not None:
            self._worked = True
            signal.setitimer(signal.ITIMER_REAL, LIVE_AFTER, FRAME_EVERY)

    def _tick(self, _number: int, interrupted: FrameType | None) -> None:
        """Draw a frame, in the main thread, between two instructions of whatever it does."""
        if not self._lock.acquire(blocking=False):
            return  # an event is being written, perhaps by the very code that was interrupted: the next tick draws
        try:
            if not self._closed and not self._output.lost:
                if self._region is None:
                    if is_importing(interrupted):
                        return  # rich may need what is half loaded: the next tick draws
                    # Here and not above: a build that is over by now does without the 40 ms that rich takes to import.
                    from envbuild.ui.live import LiveRegion

                    self._region = LiveRegion(self._output)
                self._region.draw(self._frame())
        finally:
            self._lock.release()

    def _frame(self) -> list[tuple[str, str]]:
        width, height = self._output.terminal_size
        return self._board.frame(width - 1, height - 1, self._clock())


def is_importing(frame: FrameType | None) -> bool:
    """Tell whether what a signal has interrupted is the import of a module."""
    while frame is not None:
        if frame.f_code.co_filename == "<frozen importlib._bootstrap>":
            return True
        frame = frame.f_back
    return False
