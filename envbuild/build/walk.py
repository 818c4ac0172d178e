"""The walk along what is known of a build: from each stage's base over its steps, as far as a cache has results.

A build walks with the store for a cache; in its second half it also waits for other stages and asks package managers.
`status` walks with the lock. The walk runs nothing and tells nobody: its caller does that with what it meets.
"""

from __future__ import annotations

from envbuild.build.graph import Stage
from envbuild.build.inputs import Inputs, declared_inputs
from envbuild.build.progress import Answer, BaseTree, NotKnownYet, Progress, StageProgress, StepResult
from envbuild.errors import UsageError, WorkFailed
from envbuild.language.base_kinds import RecipeBase, StageBase
from envbuild.plan.key import key_of, statement_of
from envbuild.plan.step import InstallPackages, Step
from envbuild.record import Record
from envbuild.tree.entry import Digest

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from typing import Protocol

    from envbuild.build.package_question import Question
    from envbuild.packages.manager import Contents
else:
    Protocol = object  # importing typing takes 2 ms of every start


class PendingStep(Record):
    """A step of which all is known but its result. `parent` is the tree that it starts from, `epoch` in seconds."""

    stage: Stage
    number: int
    step: Step
    parent: Digest
    inputs: Inputs
    epoch: int

    def key(self, *, owners_kept: bool) -> str:
        """Return the step's key where commands can give files to other users, or can't."""
        return key_of(self.step, self.parent, self.inputs.digests, self.epoch, owners_kept=owners_kept)

    def statement(self, *, owners_kept: bool) -> str:
        """Return the name of all that the key is made of but the parent."""
        return statement_of(self.step, self.inputs.digests, self.epoch, owners_kept=owners_kept)


class Cache(Protocol):
    """Where results may be known already: the store, or a lock."""

    def base(self, stage: Stage) -> BaseTree | None:
        """Return the base of a stage that starts neither from a stage nor from a recipe; None if it has to be made."""

    def result(self, pending: PendingStep) -> StepResult | None:
        """Return the result of a step, None if it has to run."""


class PackageAnswers(Protocol):
    """What statements about packages mean: as the lock says, or also as package managers say."""

    def find(self, stage: StageProgress, number: int, question: Question, contents: Contents) -> Answer:
        """Return the packages that step `number` of a stage asks for. Raises NotKnownYet."""


class InputSource(Protocol):
    """Where steps find what they take from elsewhere."""

    def gather(self, stage: Stage, step: Step, epoch: int) -> Inputs:
        """Return what a step takes. Raises NotKnownYet, and UsageError kinds for what is missing or forbidden."""

    def contents(self, stage: Stage, action: InstallPackages) -> Contents:
        """Return the files of the recipe's folder that a statement about packages names."""

    def trees_of(self, stage: Stage, step: Step) -> list[Digest]:
        """Return the trees of others that a step takes something of. Raises NotKnownYet and UsageError kinds."""


class BaseFound(Record):
    """The walk took a stage's base."""

    stage: Stage
    base: BaseTree


class StepFound(Record):
    """The walk took a step's result."""

    stage: Stage
    result: StepResult


class StageEnded(Record):
    """All steps and tests of a stage have results."""

    stage: Stage


class BaseMissing(Record):
    """The walk stopped: the base has to be made, or what it starts from is not at its end."""

    stage: Stage


class InputsMissing(Record):
    """The walk stopped: what the next step takes is not known yet."""

    stage: Stage
    step: Step


class StepMissing(Record):
    """The walk stopped: the cache does not have the result of the next step."""

    pending: PendingStep


Met = BaseFound | StepFound | StageEnded | BaseMissing | InputsMissing | StepMissing


def walk(
    stages: Iterable[Stage], progress: Progress, cache: Cache, answers: PackageAnswers, inputs: InputSource
) -> Iterator[Met]:
    """Take each stage from where it is in `progress` as far as `cache` reaches; yield what is met on the way.

    The last thing that is met of a stage is its end, or what is missing. What is found is in `progress` already when
    it is yielded.
    """
    for stage in stages:
        at = progress.get(stage)
        if at is None:
            base = _base(stage, progress, cache)
            if base is None:
                yield BaseMissing(stage)
                continue
            at = progress.begin(stage, base)
            yield BaseFound(stage, base)
        yield from _steps(at, cache, answers, inputs)


def _steps(at: StageProgress, cache: Cache, answers: PackageAnswers, inputs: InputSource) -> Iterator[Met]:
    while (step := at.next_step) is not None:
        try:
            pending = pending_step(at, at.next_number, step, answers, inputs)
        except NotKnownYet:
            yield InputsMissing(at.stage, step)
            return
        result = cache.result(pending)
        if result is None:
            yield StepMissing(pending)
            return
        at.take(result)
        yield StepFound(at.stage, result)
    yield StageEnded(at.stage)


def pending_step(
    at: StageProgress, number: int, step: Step, answers: PackageAnswers, inputs: InputSource
) -> PendingStep:
    """Return a step of a stage with what it takes from elsewhere, as it would run on the tree so far. Raises
    NotKnownYet."""
    epoch, action = at.facts.epoch, step.action
    contents: Contents = ()
    taken = Inputs()
    try:
        if isinstance(action, InstallPackages):
            contents = inputs.contents(at.stage, action)
        else:
            taken = inputs.gather(at.stage, step, epoch)
    except (UsageError, WorkFailed) as error:
        from envbuild.build.step_place import point_at_step  # only where something is wrong

        point_at_step(error, step)
        raise
    if isinstance(action, InstallPackages):
        packages = _answer(at, number, action, contents, answers).packages
        taken = declared_inputs(action, contents, packages)
    return PendingStep(at.stage, number, step, at.tree, taken, epoch)


def _answer(
    at: StageProgress, number: int, action: InstallPackages, contents: Contents, answers: PackageAnswers
) -> Answer:
    from envbuild.build.package_question import question_of  # only where a recipe asks for packages

    question = question_of(action, contents, at.facts.arch)
    answer = at.answers.get(number)
    if answer is None or answer.question != question:
        answer = at.answers[number] = answers.find(at, number, question, contents)
    return answer


def _base(stage: Stage, progress: Progress, cache: Cache) -> BaseTree | None:
    match stage.base:
        case StageBase(name=name):
            origin = f"stage {name}"
        case RecipeBase(path=path):
            origin = f"recipe {path}"
        case _:
            return _made_base(stage, cache)
    try:
        below = progress.ended(stage.needs[0])
    except NotKnownYet:
        return None
    return BaseTree(below.tree, below.facts, origin)


def _made_base(stage: Stage, cache: Cache) -> BaseTree | None:
    try:
        return cache.base(stage)
    except (UsageError, WorkFailed) as error:
        from envbuild.language.statement_error import point_at  # only where something is wrong

        point_at(error, stage.base.place, stage.base_statement, (stage.base_text,))
        raise
