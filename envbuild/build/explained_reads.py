"""What the steps of a recipe read, as far as it is on record: of those at a line, as the recipe is now."""

from __future__ import annotations

from envbuild.build.build import cached_job
from envbuild.build.inputs import Gatherer, known_file
from envbuild.build.loader import STEP_STATEMENTS
from envbuild.build.locked_answers import LockedAnswers
from envbuild.build.progress import NotKnownYet, StageProgress
from envbuild.build.request import BuildRequest
from envbuild.build.rerun_lines import spots
from envbuild.build.reuse import command_of
from envbuild.build.walk import pending_step
from envbuild.plan.step import Execute, Step
from envbuild.record import Record
from envbuild.store.run_records import RunRecord
from envbuild.store.store import Store
from envbuild.trace.reads import BadReads, Reads, parse


class StepReads(Record):
    """A step, and what it read when it ran last; `run` is None where nothing of that is on record. `distrusted` says
    why that does not count, "" if it does; `runs_nothing` is True of a step that runs no command."""

    step: Step
    stage: str
    run: RunRecord | None
    reads: Reads | None
    distrusted: str = ""
    runs_nothing: bool = False


def reads_of(request: BuildRequest, store: Store, wanted: str) -> list[StepReads]:
    """Return the steps that stand at a line (LINE, or FILE:LINE) of a recipe, with what they read. Nothing runs. Raises
    NoStepThere, and the errors of a build that can't begin."""
    job = cached_job(request, store)
    places = spots([recipe.recipe for recipe in job.graph.recipes], STEP_STATEMENTS, (wanted,))
    answers = LockedAnswers(job.graph, store, renew=frozenset(), strict=False)
    inputs = Gatherer(store, job.graph, job.sources, job.progress.ended, known_file)
    known = []
    for stage in job.graph.stages:
        at = job.progress.get(stage)
        for number, step in enumerate(at.steps if at is not None else ()):
            if at is not None and (step.place.file, step.place.line) in places:
                known.append(_reads(store, at, number, answers, inputs, owners_kept=job.cache.owners_kept))
    return known


def _reads(
    store: Store, at: StageProgress, number: int, answers: LockedAnswers, inputs: Gatherer, *, owners_kept: bool
) -> StepReads:
    step = at.steps[number]
    if not isinstance(step.action, Execute):
        return StepReads(step, at.stage.name, None, None, runs_nothing=True)
    try:
        pending = pending_step(at, number, step, answers, inputs)
    except NotKnownYet:
        return StepReads(step, at.stage.name, None, None)
    results = at.results[: min(number, len(at.results))]
    parent = results[-1].tree if results else at.base.tree
    runs = store.runs.of(pending.statement(owners_kept=owners_kept))
    run = next((run for run in runs if run.parent == parent), runs[0] if runs else None)
    distrusted = store.runs.distrusted(command_of(step))
    try:
        return StepReads(step, at.stage.name, run, parse(run.reads) if run is not None else None, distrusted)
    except BadReads:
        return StepReads(step, at.stage.name, None, None, distrusted)
