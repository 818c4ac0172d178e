"""Steps that only make a tree from a tree and from files: what a build runs of them needs no sandbox, and where nothing
else is left none is made."""

from __future__ import annotations

import time

from envbuild.build.context import MAX_ATTEMPTS, WAIT
from envbuild.build.events import Notice, StepFinished
from envbuild.build.graph import Stage
from envbuild.build.job import BuildJob
from envbuild.build.named_inputs import parts_and_source
from envbuild.build.progress import StageProgress, StepResult
from envbuild.build.tree_actions import Performer
from envbuild.build.walk import InputSource, PackageAnswers, PendingStep, StepMissing, pending_step, walk
from envbuild.errors import DISK_TROUBLE, DiskTrouble, EnvbuildError, Interrupted, MachineLacks
from envbuild.plan.step import AddUser, CopyIn, DiscardPaths, MakeDirectory, WriteFile
from envbuild.sandbox.user_namespace import SINGLE, enter_user_namespace
from envbuild.store.database import StoreDamaged
from envbuild.store.step_cache import ContentChanged, StepRecord
from envbuild.tree.diff import amount, removed_amount
from envbuild.tree.entry import EMPTY_CONTENT, Digest

_LOCAL = (AddUser, CopyIn, DiscardPaths, MakeDirectory, WriteFile)
"""Actions that run nothing and fetch nothing."""


def perform(
    job: BuildJob,
    performer: Performer,
    at: StageProgress,
    pending: PendingStep,
    answers: PackageAnswers,
    inputs: InputSource,
) -> tuple[Digest, PendingStep]:
    """Return the tree that an action makes, and the step with the inputs that it had: files that change while they are
    copied are looked at again, and are other inputs then."""
    step = pending.step
    for attempt in range(1, MAX_ATTEMPTS + 1):
        try:
            return performer.perform(step, pending.inputs, at.tree, pending.epoch), pending
        except ContentChanged as error:
            if attempt == MAX_ATTEMPTS:
                raise
            job.reporter.emit(Notice("note", f"{error.path} changed while it was copied: reading it again"))
            time.sleep(WAIT * attempt)
            pending = pending_step(at, pending.number, step, answers, inputs)
    raise AssertionError("the last attempt raises or returns")


def only_trees_left(job: BuildJob) -> bool:
    """Return whether a build lacks results, none of which has to run, to be fetched or to be explained."""
    if _has_to_say_more(job):
        return False
    stages = [job.progress.get(stage) for stage in job.graph.stages]
    return all(
        at is not None and all(isinstance(step.action, _LOCAL) for step in at.steps[at.next_number :]) for at in stages
    )


def _has_to_say_more(job: BuildJob) -> bool:
    """Return whether the build has to say something of all steps before one is done."""
    return bool(job.request.dry_run or job.request.explain or job.request.places)


def perform_ahead(job: BuildJob, answers: PackageAnswers, inputs: InputSource) -> None:
    """Perform what comes before the first step that has to run, in each stage: commands in between may have run on
    other trees, and then no sandbox is made. The process has one thread, and enters the user namespace."""
    reuse = job.cache.reuse
    if reuse is None or _has_to_say_more(job) or any(job.progress.get(stage) is None for stage in job.graph.stages):
        return  # bases are prepared outside of the namespace
    from envbuild.build.before_steps import check_grants

    stages = [stage for stage in job.graph.stages if not job.progress.has_ended(stage)]
    check_grants(job, stages)
    try:
        ids = enter_user_namespace()
    except MachineLacks:
        return  # what is wrong with the recipe is told first
    if ids.kind == SINGLE and job.cache.owners_kept:
        return  # it turned out only now, and is for the steps that run to say
    job.store.owners_observable = ids.kind != SINGLE
    reuse.writes_files = True
    _perform(job, stages, answers, inputs)


def perform_left(job: BuildJob, answers: PackageAnswers, inputs: InputSource) -> None:
    """Perform the steps of a build in which `only_trees_left`. The process has one thread, and enters the user
    namespace, in which files can be given to others. Raises the first failure, and MachineLacks kinds."""
    job.store.owners_observable = enter_user_namespace().kind != SINGLE
    _perform(job, [stage for stage in job.graph.stages if not job.progress.has_ended(stage)], answers, inputs)


def _perform(job: BuildJob, stages: list[Stage], answers: PackageAnswers, inputs: InputSource) -> None:
    if sum(len(job.progress[stage].steps) - job.progress[stage].next_number for stage in stages) > 1:
        from envbuild.build.file_sources import FileSources
        from envbuild.build.input_check import check_inputs  # of one step alone it would look for what that takes

        check_inputs(job, stages, FileSources(job.request, job.reporter.emit, lambda: False))
    steps = _TreeSteps(job, answers, inputs)
    try:
        for stage in stages:
            steps.run(job.progress[stage])
    except KeyboardInterrupt:
        raise Interrupted from None


class _TreeSteps:
    def __init__(self, job: BuildJob, answers: PackageAnswers, inputs: InputSource) -> None:
        self._job = job
        self._answers = answers
        self._inputs = inputs
        self._performer = Performer(job.store)

    def run(self, at: StageProgress) -> None:
        while True:
            missing: PendingStep | None = None
            for met in walk((at.stage,), self._job.progress, self._job.cache, self._answers, self._inputs):
                if isinstance(met, StepMissing):
                    missing = met.pending
                self._job.take(met)
            if missing is None or not isinstance(missing.step.action, _LOCAL):
                return
            result = self._run_step(at, missing)
            at.take(result)
            self._job.reporter.count_run()
            self._job.check_result(at.stage, result)

    def _run_step(self, at: StageProgress, pending: PendingStep) -> StepResult:
        job, store, step = self._job, self._job.store, pending.step
        owners_kept = job.cache.owners_kept
        key = pending.key(owners_kept=owners_kept)
        job.check_result(at.stage, StepResult(pending.number, step, key, "", "", 0.0, False))
        started = time.monotonic()
        event = job.reporter.begin_step(at.stage, pending.number, step)
        job.bring_here(pending.parent, *self._inputs.trees_of(at.stage, step))
        try:
            tree, pending = perform(job, self._performer, at, pending, self._answers, self._inputs)
        except StoreDamaged:
            raise  # the build begins again without what is damaged
        except (EnvbuildError, OSError) as caught:
            if isinstance(caught, OSError) and caught.errno not in DISK_TROUBLE:
                raise
            from envbuild.build.step_failure import report_failure  # knows sandboxes

            error = DiskTrouble(caught) if isinstance(caught, OSError) else caught
            report_failure(job.reporter.emit, event, at.stage, step.text, step.place, error, started, step)
            raise error from caught
        key = pending.key(owners_kept=owners_kept)
        files, size = amount(store.trees, at.tree, tree)
        seconds = time.monotonic() - started
        if job.request.record:
            path = job.graph.recipe_of(at.stage).path
            _, source = parts_and_source(pending, path, owners_kept=owners_kept)
            store.steps.put(key, StepRecord(tree, EMPTY_CONTENT, seconds, True), step.text, source)
        removed, freed = (0, 0) if files else removed_amount(store.trees, at.tree, tree)
        job.reporter.emit(StepFinished(event, tree, seconds, files, size, removed, freed))
        return StepResult(pending.number, step, key, tree, EMPTY_CONTENT, seconds, False)
