"""The moving part of the live display as data: which steps run, what they said last, and a frame that shows it."""

from __future__ import annotations

from collections import deque

from envbuild.build.events import StepOutput, StepProgress, StepStarted
from envbuild.text.width import columns, cut, pad
from envbuild.ui.build_messages import headline, label
from envbuild.ui.humanize import amount, count, duration
from envbuild.ui.sanitize import LineCleaner

TAIL = 5
"""Lines of its output that a running step shows at most."""

SPINNER = "⠋⠙⠹⠸⠼⠴⠦⠧⠇⠏"
ASCII_SPINNER = "-\\|/"

Line = tuple[str, str]
"""A line's text and its style ("" or one of output.py's)."""


class Board:
    """Times are in seconds on any one clock."""

    def __init__(self, now: float, spinner: str = SPINNER) -> None:
        self.recipe = ""
        self.planned = 0
        self.cached = 0
        self.finished = 0
        self._since = now
        self._spinner = spinner
        self._running: dict[int, RunningStep] = {}

    def start(self, event: StepStarted, now: float) -> None:
        self._running[event.step] = RunningStep(event, self.recipe, now)

    def hear(self, event: StepOutput) -> None:
        running = self._running.get(event.step)
        if running:
            running.tail.extend(line for line in running.cleaner.feed(event.data) if line.strip())

    def progress(self, event: StepProgress) -> None:
        running = self._running.get(event.step)
        if running:
            total = f"/{amount(event.total, event.unit)}" if event.total else ""
            running.progress = f"{amount(event.done, event.unit)}{total}"

    def end(self, step: int) -> RunningStep | None:
        """Take a step off the board; None if it was not on it."""
        self.finished += 1
        return self._running.pop(step, None)

    def frame(self, width: int, height: int, now: float) -> list[Line]:
        """Return at most `height` lines of at most `width` columns: the running steps with their last lines, a count.

        When room is short the steps' output goes first, then the later steps.
        """
        shown = list(self._running.items())[: max(height - 2, 0)]
        hidden = len(self._running) - len(shown)
        room = (height - 1 - len(shown)) // len(shown) if shown else 0
        spin = self._spinner[int((now - self._since) * 10) % len(self._spinner)]
        lines: list[Line] = []
        for step, running in shown:
            left = f"{spin} #{step} {running.title}"
            figures = " ".join(filter(None, (running.progress, duration(now - running.since))))
            lines.append((two_sided(left, figures, width), ""))
            lines += [(cut(f"    {text}".expandtabs(8), width), "dim") for text in running.last(min(room, TAIL))]
        lines.append((cut(self._count(hidden, now), width), "strong"))
        return lines[-height:] if height > 0 else []

    def _count(self, hidden: int, now: float) -> str:
        done = self.cached + self.finished
        of_planned = f" of {self.planned}" if self.planned >= done else ""
        parts = [
            f"{done}{of_planned} {'step' if not of_planned and done == 1 else 'steps'}",
            f"{len(self._running)} running",
        ]
        if hidden:
            parts[-1] += f" ({hidden} not shown)"
        if self.cached:
            parts.append(f"{self.cached} cached")
        return f"{headline(self.recipe)}: {', '.join(parts)}, {duration(now - self._since)}"


class RunningStep:
    """A step between its start and its end."""

    def __init__(self, event: StepStarted, main_recipe: str, now: float) -> None:
        self.title = f"{label(event, main_recipe)} {headline(event.text, 200)}"
        self.since = now
        self.progress = ""
        self.cleaner = LineCleaner()
        self.tail: deque[str] = deque(maxlen=TAIL)

    def last(self, number: int) -> list[str]:
        """Return the last lines that it wrote, the one that it is writing among them."""
        partial = self.cleaner.partial
        lines = [*self.tail, partial] if partial.strip() else list(self.tail)
        return lines[-number:] if number > 0 else []


def two_sided(left: str, right: str, width: int) -> str:
    """Return `left` at the left and `right` at the right of `width` columns; `left` is cut for it, then `right`
    goes."""
    room = width - columns(right) - 1
    if room < 12:
        return cut(left, width)
    return f"{pad(cut(left, room), room)} {right}"


def cached_in_brief(number: int) -> str:
    """Return `12 steps cached`."""
    return f"{count(number, 'step')} cached"
