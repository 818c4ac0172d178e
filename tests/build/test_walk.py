"""The walk along a graph, with caches that are dictionaries: no store, no machine."""

from __future__ import annotations

from envbuild.build.graph import Graph, PlannedRecipe, Stage
from envbuild.build.inputs import Inputs
from envbuild.build.progress import Answer, BaseTree, NotKnownYet, Progress, StepResult
from envbuild.build.walk import (
    BaseFound,
    BaseMissing,
    InputsMissing,
    PendingStep,
    StageEnded,
    StepFound,
    StepMissing,
    walk,
)
from envbuild.language.base_kinds import RecipeBase, StageBase
from envbuild.language.load import load_recipe
from envbuild.plan.graph import stages_used
from envbuild.plan.image_config import Facts
from envbuild.plan.step import CopyIn

BASE = BaseTree("b" * 64, Facts("amd64", 7), "scratch")


def graph_of(*lines: str) -> Graph:
    text = "\n".join(lines) + "\n"
    recipe = load_recipe("web.env", {}, arch="amd64", read=lambda path: text.encode())
    stages: list[Stage] = []
    for written in recipe.stages:
        numbers = {stage.written.name: stage.number for stage in stages}
        needs = tuple(numbers[name] for name in stages_used(written) if name in numbers)
        number = len(stages)
        name = written.name or str(number + 1)
        stages.append(Stage(number, 0, "web", name, written, frozenset(numbers), needs, None, 1))
    return Graph((PlannedRecipe(0, recipe, None, None, tuple(stages), stages[-1]),), tuple(stages), {"web.env": 0}, 0)


class Results:
    """A cache of the steps whose texts it has: the tree of a step is its text."""

    def __init__(self, *texts: str, base: BaseTree | None = BASE) -> None:
        self.texts = texts
        self._base = base

    def base(self, stage: Stage) -> BaseTree | None:
        assert not isinstance(stage.base, (StageBase, RecipeBase))
        return self._base

    def result(self, pending: PendingStep) -> StepResult | None:
        step = pending.step
        if step.text not in self.texts:
            return None
        return StepResult(pending.number, step, pending.key(owners_kept=True), step.text, "", 0.0, True)


class NoAnswers:
    def find(self, stage, number, asks, contents) -> Answer:
        raise NotKnownYet


class Trees:
    """Inputs from other stages alone."""

    def __init__(self, progress: Progress) -> None:
        self._progress = progress

    def gather(self, stage, step, epoch) -> Inputs:
        if isinstance(step.action, CopyIn) and step.action.origin is not None:
            other = self._progress.graph.origin(stage, step.action.origin)
            assert other is not None
            return Inputs((self._progress.ended(other.number).tree,))
        return Inputs()

    def contents(self, stage, action):
        return ()


def met(graph: Graph, cache: Results, progress: Progress | None = None) -> list[tuple[str, str]]:
    """What a walk meets: kinds, and the texts of steps or the names of stages."""
    progress = progress or Progress(graph)
    shown = []
    for event in walk(graph.stages, progress, cache, NoAnswers(), Trees(progress)):
        match event:
            case StepFound(result=result):
                text = result.step.text
            case StepMissing(pending=pending):
                text = pending.step.text
            case InputsMissing(step=step):
                text = step.text
            case BaseFound(stage=stage) | BaseMissing(stage=stage) | StageEnded(stage=stage):
                text = stage.name
        shown.append((type(event).__name__, text))
    return shown


def test_a_stage_is_walked_to_the_first_step_that_the_cache_lacks():
    graph = graph_of("from scratch", "run echo 1", "run echo 2", "run echo 3")
    assert met(graph, Results("run echo 1", "run echo 3")) == [
        ("BaseFound", "1"),
        ("StepFound", "run echo 1"),
        ("StepMissing", "run echo 2"),
    ]


def test_a_walk_goes_on_from_where_the_last_one_ended():
    graph = graph_of("from scratch", "run echo 1", "test true")
    progress = Progress(graph)
    assert met(graph, Results("run echo 1"), progress)[-1] == ("StepMissing", "test true")
    assert not progress.complete
    assert met(graph, Results("test true"), progress) == [("StepFound", "test true"), ("StageEnded", "1")]
    assert progress.complete
    assert progress[graph.stages[0]].tree == "run echo 1"


def test_a_base_that_has_to_be_made_ends_its_stage_and_those_that_start_from_it():
    graph = graph_of("from scratch as a", "run echo 1", "from a")
    assert met(graph, Results(base=None)) == [("BaseMissing", "a"), ("BaseMissing", "2")]


def test_a_stage_starts_from_the_tree_and_the_facts_of_another_and_says_so():
    graph = graph_of("from scratch as a", "env X=1", "run echo 1", "from a as b", "run echo 2")
    progress = Progress(graph)
    met(graph, Results("run echo 1", "run echo 2"), progress)
    base = progress[graph.stages[1]].base
    assert (base.tree, base.origin, base.facts.environment) == ("run echo 1", "stage a", (("X", "1"),))


def test_a_copy_from_a_stage_that_is_not_at_its_end_is_not_known_yet():
    lines = ("from scratch as a", "run echo 1", "from scratch", "copy(from=a) /x -> /x")
    assert met(graph_of(*lines), Results(lines[3]))[-1] == ("InputsMissing", lines[3])
    assert met(graph_of(*lines), Results(*lines))[-1] == ("StageEnded", "2")


def test_packages_that_nothing_knows_are_not_known_yet():
    assert met(graph_of("from scratch", "apt jq"), Results("apt jq"))[-1] == ("InputsMissing", "apt jq")


def test_without_tests_a_stage_is_at_its_end_after_its_steps():
    graph = graph_of("from scratch", "run echo 1", "test true")
    assert met(graph, Results("run echo 1"), Progress(graph, tests=False))[-1] == ("StageEnded", "1")
