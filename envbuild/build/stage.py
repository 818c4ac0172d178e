"""One stage of one build: goes from its base along its steps, as far as the cache reaches or to the end."""

from __future__ import annotations

import threading
from collections.abc import Callable

from envbuild.build.inputs import Gatherer, Inputs
from envbuild.language.model import Stage
from envbuild.lockfile.lock import LockedStage, Package
from envbuild.plan.image_config import Facts
from envbuild.plan.key import key_of
from envbuild.plan.planner import StagePlan, plan_stage
from envbuild.plan.step import Step
from envbuild.record import Record
from envbuild.store.step_cache import StepRecord
from envbuild.tree.entry import Digest


class BaseTree(Record):
    """A base that is in the store: its tree, the facts that it brings, and what it was made from."""

    tree: Digest
    facts: Facts
    origin: str


class StepResult(Record):
    """A step that is done, from the cache or just now."""

    step: Step
    key: str
    tree: Digest
    output: Digest
    seconds: float
    cached: bool
    owners_kept: bool = True


class Answer(Record):
    """What a statement came to: the digest of what it asks for, and the packages that are that."""

    asks: str
    packages: tuple[Package, ...]


class StageRun:
    """The state of a stage while it is built. One thread works on it at a time."""

    def __init__(
        self,
        recipe: str,
        number: int,
        stage: Stage,
        locked: LockedStage | None,
        needs: tuple[StageRun, ...],
        stages: frozenset[str],
    ) -> None:
        """`needs` are the stages that have to be done first; `stages` are the names of the recipe's stages."""
        self.recipe = recipe
        self.stage = stage
        self.name = stage.name or str(number)
        self.locked = locked
        self.needs = needs
        self.done = threading.Event()
        self.base: BaseTree | None = None
        self.base_cached = True
        self.base_seconds = 0.0
        self.results: list[StepResult] = []
        self.tests: list[StepResult] = []
        self.error: BaseException | None = None
        self.answers: dict[int, Answer] = {}
        self.from_lock: dict[int, bool] = {}
        self._names = stages
        self._plan: StagePlan | None = None

    @property
    def base_text(self) -> str:
        """The base as the recipe has it."""
        base = self.stage.base
        if base.kind == "host" and base.programs:
            return f"host({', '.join(base.programs)})"
        if base.kind in ("stage", "scratch", "host"):
            return base.argument or base.kind
        return f"{base.kind}:{base.argument}"

    @property
    def tree(self) -> Digest:
        """The tree so far."""
        assert self.base is not None
        return self.results[-1].tree if self.results else self.base.tree

    @property
    def near(self) -> tuple[Digest, ...]:
        """The trees that the store has layers of, the nearest to the tree so far first."""
        trees = (self.tree, *[result.tree for result in reversed(self.results)])
        return (*trees, self.base.tree) if self.base is not None else trees

    @property
    def facts(self) -> Facts:
        """The facts at the end of the stage; its base has to be known."""
        return self.plan.facts

    @property
    def plan(self) -> StagePlan:
        """The stage's steps; its base has to be known."""
        assert self.base is not None
        if self._plan is None:
            self._plan = plan_stage(self.stage, self.base.facts, self._names)
        return self._plan

    def start_from(self, base: BaseTree, *, cached: bool, seconds: float = 0.0) -> None:
        """Says what the stage starts from."""
        self.base = base
        self.base_cached = cached
        self.base_seconds = seconds

    def next_step(self) -> Step | None:
        """The step that comes next; after the last one the tests, None at the end."""
        plan = self.plan
        if len(self.results) < len(plan.steps):
            return plan.steps[len(self.results)]
        if len(self.tests) < len(plan.tests):
            return plan.tests[len(self.tests)]
        return None

    def key_and_inputs(self, step: Step, gatherer: Gatherer, *, owners_kept: bool) -> tuple[str, Inputs]:
        """The next step's key, and what it takes from elsewhere."""
        epoch = self.facts.epoch
        inputs = gatherer.gather(step, epoch)
        return key_of(step, self.tree, inputs.digests, epoch, owners_kept=owners_kept), inputs

    def finish_step(self, result: StepResult) -> None:
        """Takes the next step's result."""
        (self.tests if result.step.test else self.results).append(result)

    def advance(
        self,
        gatherer: Gatherer,
        on_cached: Callable[[StageRun, StepResult], None],
        look_up: Callable[[Step, str], StepRecord | None],
        *,
        owners_kept: bool,
    ) -> tuple[Step, str, Inputs] | None:
        """Goes along the steps that are in the cache. Returns the first that is not, with its key and inputs, or
        None when the stage is at its end. `look_up` gives what the cache has for a step's key."""
        while (step := self.next_step()) is not None:
            key, inputs = self.key_and_inputs(step, gatherer, owners_kept=owners_kept)
            record = look_up(step, key)
            if record is None:
                return step, key, inputs
            result = cached_result(step, key, record)
            self.finish_step(result)
            on_cached(self, result)
        return None


def cached_result(step: Step, key: str, record: StepRecord) -> StepResult:
    """A step's result as the cache has it."""
    return StepResult(step, key, record.tree, record.output, record.seconds, True, record.owners_kept)
