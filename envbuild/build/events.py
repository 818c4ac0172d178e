"""What a build tells whoever watches it. The core never prints: a display turns these into lines.

`step` numbers are unique within one build: from 1 in the order of the plan for the recipe that was asked for, as `show`
has them, and then for those that it needs; `stage` is the stage's name, or its
number from 1 where it has none; `recipe` is the recipe's name. Times are in seconds, sizes in bytes.
"""

from __future__ import annotations

from _collections_abc import Callable  # what collections.abc has, without collections

from envbuild.record import Pairs, Record


class BuildStarted(Record):
    recipe: str
    path: str
    steps: int
    """How many steps and bases the plan holds; 0 while not all is known."""


class StepStarted(Record):
    """A step or base that is not in the cache begins. `text` is the statement as written."""

    step: int
    recipe: str
    stage: str
    text: str
    file: str
    line: int


class StepExplained(Record):
    """Why a step runs, for a build that was asked to say so: what of it differs from the nearest earlier result; or why
    an earlier run on another tree does not count.

    `reasons` are complete. `causes` are those that nothing else of this build explains, in short; `follows` is the step
    of this build that came out differently and so is a cause too, 0 if there is none.
    """

    step: int
    reasons: tuple[str, ...]
    causes: tuple[str, ...]
    follows: int = 0


class StepCached(Record):
    """A step whose tree the store has already."""

    step: int
    recipe: str
    stage: str
    text: str
    file: str
    line: int
    tree: str


class StepReused(Record):
    """A step that did not run: nothing differs that it read when it ran on another tree. `reason` says so in words."""

    step: int
    recipe: str
    stage: str
    text: str
    file: str
    line: int
    tree: str
    reason: str


class StepOutput(Record):
    """Bytes that the step wrote, as they came: any bytes, cut anywhere."""

    step: int
    data: bytes


class StepProgress(Record):
    """How far a step is that can say so (`done` of `total`, in `unit`); total is 0 when it is not known."""

    step: int
    done: int
    total: int
    unit: str


class StepFinished(Record):
    """`files` and `size` are what the snapshot added or changed, `removed` and `freed` the files that it removed and
    their bytes."""

    step: int
    tree: str
    seconds: float
    files: int
    size: int
    removed: int = 0
    freed: int = 0


class StepFailed(Record):
    """The step ended with this status (128 + the signal's number for one), or could not be done at all.

    `output` is the end of what it wrote, at most 64 KiB; all of it is kept and `way_in` names the command
    that opens a shell where it failed ("" where there is none). `marked` is the word of the statement that it is
    about, "" where it is not known.
    """

    step: int
    recipe: str
    stage: str
    text: str
    file: str
    line: int
    message: str
    status: int
    seconds: float
    output: bytes
    way_in: str
    marked: str = ""


class Notice(Record):
    """Something the user should know, while the build goes on: `level` is "note" or "warning"."""

    level: str
    message: str
    hint: str = ""


class BuildFinished(Record):
    recipe: str
    image: str
    tags: tuple[str, ...]
    tree: str
    seconds: float
    ran: int
    cached: int
    lock: str
    """Path of the lock, and whether it was written or was as it is ("written", "unchanged", "none")."""
    lock_state: str
    others: Pairs = ()
    """More images of the recipe: the names of each with commas between them, and its digest."""


Event = (
    BuildStarted
    | StepStarted
    | StepExplained
    | StepCached
    | StepReused
    | StepOutput
    | StepProgress
    | StepFinished
    | StepFailed
    | Notice
    | BuildFinished
)

Emit = Callable[[Event], None]
