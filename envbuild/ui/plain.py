"""A build as plain lines, for logs, pipes and editors. Each line tells by its number which step it is about."""

from __future__ import annotations

# `threading` would be the usual way to the same lock; this one costs nothing to import.
from _thread import allocate_lock
from time import monotonic

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
from envbuild.record import assert_never
from envbuild.ui.build_messages import finished_in_words, headline, label, notice_lines, summary_lines
from envbuild.ui.display import Display
from envbuild.ui.explained import Explanations
from envbuild.ui.humanize import amount, duration
from envbuild.ui.sanitize import LineCleaner, visible
from envbuild.ui.stream import Output

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import TextIO

PROGRESS_EVERY = 5.0
"""Seconds between two lines about the progress of one step."""


class PlainDisplay(Display):
    """Writes each event as it comes.

    #3 [wheels] run make all
    #3 0.52 a line that the step wrote, 0.52 seconds after it began
    #3 done 1.2s (+12 files, 3.4 MiB)
    #4 cached [1] workdir /srv
    """

    def __init__(self, stream: TextIO, colour: bool = False, clock: Callable[[], float] = monotonic) -> None:
        self._output = Output(stream, colour)
        self._clock = clock
        self._lock = allocate_lock()
        self._main_recipe = ""
        self._explanations = Explanations()
        self._running: dict[int, _Running] = {}

    @property
    def lost(self) -> OSError | None:
        return self._output.lost

    def __call__(self, event: Event) -> None:
        with self._lock:
            self._output.write_lines(self._lines(event))

    def close(self) -> None:
        """Show the unfinished lines of steps that were still running."""
        with self._lock:
            for step in list(self._running):
                self._output.write_lines(self._rest(step))

    def _lines(self, event: Event) -> list[str]:
        paint = self._output.paint
        match event:
            case BuildStarted():
                self._main_recipe = self._main_recipe or event.recipe
                return []
            case StepStarted():
                self._running[event.step] = _Running(self._clock())
                return [f"#{event.step} {label(event, self._main_recipe)} {headline(event.text)}"]
            case StepExplained():
                return self._explanations.lines(event)
            case StepCached():
                text = f"#{event.step} cached {label(event, self._main_recipe)} {headline(event.text)}"
                return [paint(text, "dim")]
            case StepReused():
                title = f"#{event.step} reused {label(event, self._main_recipe)} {headline(event.text)}"
                return [paint(title, "dim"), paint(f"#{event.step} because {visible(event.reason)}", "dim")]
            case StepOutput():
                running = self._running_step(event.step)
                return self._prefixed(event.step, running, running.cleaner.feed(event.data))
            case StepProgress():
                return self._progress(event)
            case StepFinished():
                rest = self._rest(event.step)
                return [*rest, f"#{event.step} {paint('done', 'good')} {finished_in_words(event)}"]
            case StepFailed():
                rest = [*self._rest(event.step), *self._explanations.rest()]
                failed = f"#{event.step} {paint('failed', 'error')} {duration(event.seconds)}"
                from envbuild.ui.step_failure import failure_lines  # most builds have none

                return [
                    *rest,
                    failed,
                    *failure_lines(event, self._main_recipe, self._output),
                ]
            case Notice():
                return notice_lines(event, self._output)
            case BuildFinished():
                return [*self._explanations.rest(), *summary_lines(event, self._output)]
            case _:
                return assert_never(event)

    def _running_step(self, step: int) -> _Running:
        running = self._running.get(step)
        if running is None:
            running = self._running[step] = _Running(self._clock())
        return running

    def _prefixed(self, step: int, running: _Running, lines: list[str]) -> list[str]:
        seconds = self._clock() - running.since
        return [f"#{step} {seconds:.2f} {line}".rstrip() for line in lines]

    def _rest(self, step: int) -> list[str]:
        """Return what a step that is over wrote without ending the line."""
        running = self._running.pop(step, None)
        return self._prefixed(step, running, running.cleaner.finish()) if running else []

    def _progress(self, event: StepProgress) -> list[str]:
        running = self._running_step(event.step)
        now = self._clock()
        if now - running.reported < PROGRESS_EVERY:
            return []
        running.reported = now
        done = amount(event.done, event.unit)
        of_total = f" of {amount(event.total, event.unit)}" if event.total else ""
        return self._prefixed(event.step, running, [f"{done}{of_total}"])


class _Running:
    """A step between its start and its end; `reported` is when its progress was last written."""

    def __init__(self, now: float) -> None:
        self.since = now
        self.reported = now
        self.cleaner = LineCleaner()
