"""Events as a build gives them, and a terminal to watch displays on."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest
from hypothesis import settings

from envbuild.build.events import BuildFinished, BuildStarted, StepCached, StepFailed, StepFinished, StepStarted

from .screen import Terminal

# Without a database of found examples: the checkout may belong to somebody else.
settings.register_profile("no-database", database=None)
settings.load_profile("no-database")

TREE = "5891b5b522d5df086d0ff0b110fbd9d21bb4fc7163af34d08286a2e846f6be03"


class Clock:
    """A clock that stands still until it is moved."""

    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def terminal() -> Iterator[Callable[..., Terminal]]:
    opened: list[Terminal] = []

    def open_terminal(columns: int = 80, rows: int = 24) -> Terminal:
        opened.append(Terminal(columns, rows))
        return opened[-1]

    yield open_terminal
    for descriptor in opened:
        descriptor.close()


def build_started(recipe: str = "web", steps: int = 3) -> BuildStarted:
    return BuildStarted(recipe, f"{recipe}.env", steps)


def started(step: int, text: str, stage: str = "1", recipe: str = "web") -> StepStarted:
    return StepStarted(step, recipe, stage, text, "web.env", 7)


def cached(step: int, text: str, stage: str = "1", recipe: str = "web") -> StepCached:
    return StepCached(step, recipe, stage, text, "web.env", 7, TREE)


def finished(step: int, seconds: float = 1.23, files: int = 12, size: int = 3_565_158) -> StepFinished:
    return StepFinished(step, TREE, seconds, files, size)


def failed(step: int, text: str, **changed: object) -> StepFailed:
    event = StepFailed(
        step, "web", "wheels", text, "web.env", 7, "the command failed", 2, 3.21, b"", "envbuild shell --failed"
    )
    return event.replace(**changed)


def built(ran: int = 1, cached: int = 2, lock_state: str = "written") -> BuildFinished:
    return BuildFinished("web", "0f" * 32, ("web:latest",), TREE, 1.6, ran, cached, "web.env.lock", lock_state)
