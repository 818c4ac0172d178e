"""What a build tells while it goes on: the numbers of its steps, which of them have begun, and how many ran."""

from __future__ import annotations

import time
from _thread import allocate_lock

from envbuild.build.events import BuildStarted, Emit, Notice, StepCached, StepOutput, StepReused, StepStarted
from envbuild.build.graph import Graph, Stage
from envbuild.build.progress import BaseTree, StepResult
from envbuild.language.one_line import one_line
from envbuild.plan.step import Step

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable


class Reporter:
    """Emits the events of one build, from any thread. `ran` and `cached` count steps and bases."""

    def __init__(self, emit: Emit) -> None:
        self.emit = emit
        self.started = time.monotonic()
        self.ran = 0
        self.cached = 0
        self._begun: set[int] = set()
        self._counting = allocate_lock()

    def begin_build(self, graph: Graph) -> None:
        """Tell that a build begins."""
        self.emit(BuildStarted(graph.top.recipe.name, graph.top.path, graph.steps))

    def begin_base(self, stage: Stage) -> None:
        """Tell that a base is made."""
        place = stage.base.place
        self.emit(StepStarted(stage.event, stage.recipe_name, stage.name, stage.base_statement, place.file, place.line))

    def begin_step(self, stage: Stage, number: int, step: Step) -> int:
        """Tell that a step begins, once: resolving what it installs is a part of it. Return its number in events."""
        event = event_of(stage, number)
        with self._counting:
            if event in self._begun:
                return event
            self._begun.add(event)
        self.emit(StepStarted(event, stage.recipe_name, stage.name, step.text, step.place.file, step.place.line))
        return event

    def base_cached(self, stage: Stage, base: BaseTree) -> None:
        """Tell that the store has a base."""
        self._count_cached()
        place = stage.base.place
        text = stage.base_statement
        self.emit(StepCached(stage.event, stage.recipe_name, stage.name, text, place.file, place.line, base.tree))

    def step_cached(self, stage: Stage, result: StepResult) -> None:
        """Tell that the store has the result of a step."""
        self._count_cached()
        step = result.step
        event = event_of(stage, result.number)
        what = (event, stage.recipe_name, stage.name, step.text, step.place.file, step.place.line, result.tree)
        self.emit(StepReused(*what, result.reused) if result.reused else StepCached(*what))

    def count_run(self) -> None:
        """Count a step or base that ran."""
        with self._counting:
            self.ran += 1

    def sink(self, event: int) -> Callable[[bytes], None]:
        """Return what tells the output of a step."""
        return lambda data: self.emit(StepOutput(event, data))

    def waiting(self, text: str) -> None:
        """Tell that another build does what this one needs."""
        self.emit(Notice("note", f"another build is running '{one_line(text)}': waiting for its result"))

    def _count_cached(self) -> None:
        with self._counting:
            self.cached += 1


def event_of(stage: Stage, number: int) -> int:
    """Return the number that a step of a stage has in events."""
    return stage.event + 1 + number
