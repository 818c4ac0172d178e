"""How far the stages of a build have come: their bases, the results of their steps, and what packages they mean.

This is all that changes while a graph is walked. It belongs to whoever walks: one thread at a time works on a stage.
"""

from __future__ import annotations

from envbuild.build.graph import Graph, Stage
from envbuild.language.base_kinds import RecipeBase, StageBase
from envbuild.lockfile.lock import BasePackages, Package
from envbuild.lockfile.results import Sight
from envbuild.plan.image_config import Facts
from envbuild.plan.planner import StagePlan, plan_stage
from envbuild.plan.step import Step
from envbuild.record import Pairs, Record
from envbuild.tree.entry import Digest

TYPE_CHECKING = False
if TYPE_CHECKING:
    from envbuild.build.package_question import Question


class NotKnownYet(Exception):
    """Something has to be made, fetched or resolved first. Never leaves the build."""


class SharedTreesLost(Exception):
    """What a shared cache said of a tree could not be had from it: the build begins again without it. Never leaves the
    build."""


class BaseTree(Record):
    """A base that is in the store: its tree, the facts that it brings, and what it was made from: `packages`, as far as
    it is known which, with the date (seconds) that it was `released` with."""

    tree: Digest
    facts: Facts
    origin: str
    packages: BasePackages = BasePackages()
    released: int = 0


class StepResult(Record):
    """A step that is done, from the cache or just now. `number` is its place in the stage from 0; tests come last.
    `reused` says why a run on another tree counts, "" where none had to (reuse.py)."""

    number: int
    step: Step
    key: str
    tree: Digest
    output: Digest
    seconds: float
    cached: bool
    owners_kept: bool = True
    reused: str = ""


class Answer(Record):
    """What a statement about packages means: what it asks now, and the packages; and whether the lock says so. `sight`
    is what the package manager saw in the tree (package_question.py); None where the lock does not have it. `reasons`
    say of an update what needs its packages, by name."""

    question: Question
    packages: tuple[Package, ...]
    from_lock: bool
    sight: Sight | None
    reasons: Pairs = ()

    @property
    def digest(self) -> str:
        """The digest of the question and the answer."""
        from envbuild.build.package_question import answer_digest  # there is a question, so it is loaded

        return answer_digest(self.question, self.packages)


class StageProgress:
    """A stage whose base is known, and how far it has come."""

    def __init__(self, stage: Stage, base: BaseTree, *, tests: bool, pinned_base: str = "") -> None:
        """`pinned_base` says what the base is, as far as pins decide it; by default its tree does."""
        self.stage = stage
        self.base = base
        self._pinned_base = pinned_base or base.tree
        plan = plan_stage(stage.written, base.facts, stage.siblings)
        self.plan: StagePlan = plan if tests else plan.replace(tests=())
        self.results: list[StepResult] = []
        self.tests: list[StepResult] = []
        self.answers: dict[int, Answer] = {}
        """By the number of the step."""

    @property
    def steps(self) -> tuple[Step, ...]:
        """The steps by their numbers, the tests last."""
        return (*self.plan.steps, *self.plan.tests)

    @property
    def all_results(self) -> tuple[StepResult, ...]:
        """The results so far, those of tests last."""
        return (*self.results, *self.tests)

    @property
    def tree(self) -> Digest:
        """The tree so far."""
        return self.results[-1].tree if self.results else self.base.tree

    @property
    def near(self) -> tuple[Digest, ...]:
        """The trees that the store has layers of, the nearest to the tree so far first."""
        return (self.tree, *[result.tree for result in reversed(self.results)], self.base.tree)

    @property
    def facts(self) -> Facts:
        """The facts at the end of the stage."""
        return self.plan.facts

    @property
    def next_step(self) -> Step | None:
        """The first step without a result, None at the end of the stage."""
        steps, tests = self.plan.steps, self.plan.tests
        if len(self.results) < len(steps):
            return steps[len(self.results)]
        return tests[len(self.tests)] if len(self.tests) < len(tests) else None

    @property
    def next_number(self) -> int:
        """The number of that step."""
        return len(self.results) + len(self.tests)

    @property
    def ended(self) -> bool:
        """Whether all steps and tests have results."""
        return self.next_step is None

    def after(self, number: int) -> str:
        """Return the digest of the answers before step `number`, with what they stand on."""
        from envbuild.build.package_question import after_digest

        return after_digest(self._pinned_base, (self.answers[n].digest for n in sorted(self.answers) if n < number))

    def take(self, result: StepResult) -> None:
        """Take the result of the next step."""
        (self.tests if result.step.test else self.results).append(result)


class Progress:
    """The progress of all stages of one graph."""

    def __init__(self, graph: Graph, *, tests: bool = True) -> None:
        """Without `tests` a stage is at its end after its steps."""
        self.graph = graph
        self._tests = tests
        self._stages: dict[int, StageProgress] = {}

    def begin(self, stage: Stage, base: BaseTree) -> StageProgress:
        """Start a stage from its base. Raises what is wrong with its statements on this base."""
        pinned_base = ""
        match stage.base:
            case StageBase():
                below = self._stages[stage.needs[0]]
                pinned_base = below.after(len(below.plan.steps))
            case RecipeBase(path=path):
                pinned_base = path  # its own lock has what it is
        begun = StageProgress(stage, base, tests=self._tests, pinned_base=pinned_base)
        self._stages[stage.number] = begun
        return begun

    def get(self, stage: Stage) -> StageProgress | None:
        """Return the progress of a stage, None while its base is not known."""
        return self._stages.get(stage.number)

    def __getitem__(self, stage: Stage) -> StageProgress:
        """Return the progress of a stage whose base is known."""
        return self._stages[stage.number]

    def ended(self, number: int) -> StageProgress:
        """Return the progress of a stage that is at its end. Raises NotKnownYet for another."""
        progress = self._stages.get(number)
        if progress is None or not progress.ended:
            raise NotKnownYet
        return progress

    @property
    def complete(self) -> bool:
        """Whether all stages are at their ends."""
        return all(self.has_ended(stage) for stage in self.graph.stages)

    def has_ended(self, stage: Stage) -> bool:
        """Return whether a stage is at its end."""
        progress = self._stages.get(stage.number)
        return progress is not None and progress.ended
