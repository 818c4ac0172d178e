"""The lock that a build writes beside its recipe."""

from __future__ import annotations

import os

from envbuild.build.events import Notice
from envbuild.build.graph import PlannedRecipe
from envbuild.build.job import BuildJob
from envbuild.build.lock_check import check_exact, check_pins
from envbuild.build.progress import Answer, StageProgress, StepResult
from envbuild.language.base_kinds import RecipeBase, StageBase
from envbuild.linux.machine import architecture
from envbuild.lockfile import lock_file
from envbuild.lockfile.lock import VERSION, Lock, LockedInstall, LockedStage, Section
from envbuild.lockfile.results import LockedImage, Results
from envbuild.plan.image_config import image_digest
from envbuild.plan.step import Execute
from envbuild.store import failpoints as points
from envbuild.store.fetched import FETCHED, PACKAGE

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

    from envbuild.record import Pairs


def lock_of(job: BuildJob, recipe: PlannedRecipe) -> Lock:
    """Return the lock of a recipe whose stages are done; what its lock has for other architectures stays."""
    target = job.progress[recipe.target]
    stages = [job.progress[stage] for stage in recipe.stages]
    steps = {result.key: (result.tree,) for at in stages for result in at.results}
    answers = [answer for at in stages for answer in at.answers.values()]
    seen = {answer.digest: (answer.sight,) for answer in answers if answer.sight is not None}
    before = recipe.lock
    networked = _networked(stages)
    network = {}
    if networked:
        from envbuild.build.lock_network import locked_network  # few steps have a network

        network = locked_network(job, networked, before)
    near = [image.tree for image in before.results.images] if before is not None else []
    size = job.store.size(target.tree, (*near, target.base.tree))[1]
    image = LockedImage(image_digest(target.tree, target.facts), target.tree, size)
    return Lock(
        recipe=recipe.recipe.name,
        own=Section(
            architecture=architecture(),
            stages=tuple(map(_locked_stage, stages)),
            fetched=tuple(sorted(job.sources.fetched(recipe).items())),
            images=tuple(sorted(job.sources.images(recipe).items())),
            results=Results(steps, seen, (image,), network),
            commits=_commits(job, recipe),
        ),
        parameters=tuple(sorted(recipe.recipe.parameters)),
        others=before.others if before is not None else (),
        cool_down=before.cool_down if before is not None else "",
    )


def _commits(job: BuildJob, recipe: PlannedRecipe) -> Pairs:
    """Return the commits that the branches and tags meant which a recipe fetches."""
    fetched = job.sources.fetched(recipe)
    if not any(url.startswith("git+") for url in fetched):
        return ()
    from envbuild.build.commits import commits_of  # few recipes fetch any

    return commits_of(job.store, recipe.lock, fetched, job.sources.ref_kinds)


def _locked_stage(at: StageProgress) -> LockedStage:
    follows = isinstance(at.stage.base, (StageBase, RecipeBase))
    answers = [at.answers[number] for number in sorted(at.answers)]
    return LockedStage(
        name=at.stage.name,
        base=at.stage.base_text,
        digest="" if follows else at.base.tree,
        origin=at.base.origin,
        epoch=0 if follows else at.facts.epoch,
        installs=tuple(map(_locked_install, answers)),
        packages=at.base.packages,
        released=at.base.released,
    )


def _locked_install(answer: Answer) -> LockedInstall:
    question = answer.question
    return LockedInstall(question.manager, question.wants, question.asks, answer.packages, sources=question.sources)


def write_lock(job: BuildJob, recipe: PlannedRecipe, lock: Lock) -> str:
    """Write the lock beside its recipe if its text changed, and register it; return `written` or `unchanged`.

    With --locked nothing is written: raises LockOutOfDate where a pin would have to change.
    """
    store = job.store
    path, text = recipe.lock_path, lock_file.dump(lock)
    stages = [job.progress[stage] for stage in recipe.stages]
    hashes = {package.hash for at in stages for answer in at.answers.values() for package in answer.packages}
    hashes |= {package.hash for at in stages for package in at.base.packages.all}
    keys = [result.key for at in stages for result in at.all_results]
    trees = [tree for at in stages for tree in (at.base.tree, *(result.tree for result in at.results))]
    state = "unchanged"
    if job.request.locked:
        assert recipe.lock is not None
        check_pins(path, recipe.lock, lock)
        if networked := _networked(stages):
            from envbuild.build.lock_network import tell_beyond  # as above

            tell_beyond(job, networked, recipe.lock, path)
        if job.request.exact:
            check_exact(path, recipe.lock, lock)
    elif text != recipe.lock_text:
        points.at(points.LOCK)
        lock_file.write(path, text)
        lock_file.remember_lock(text, lock, store)
        state = "written"
        if recipe.lock is None or recipe.lock.version < VERSION or any(at.answers for at in stages):
            _let_git_merge(job, path)
    if state == "written" or not store.is_registered(os.path.abspath(path), keys):
        named = [
            *trees,
            *(f"{FETCHED}{digest}" for _, digest in lock.own.fetched),
            *(f"{PACKAGE}{digest}" for digest in sorted(hashes)),
        ]
        store.register_lock(os.path.abspath(path), keys, named)
    return state


def _networked(stages: Sequence[StageProgress]) -> list[StepResult]:
    """Return the results of the steps that have a network."""
    results = (result for at in stages for result in at.results)
    return [result for result in results if isinstance(result.step.action, Execute) and result.step.action.network]


def _let_git_merge(job: BuildJob, path: str) -> None:
    from envbuild.git.install import let_git_merge  # only where a lock is written

    written = let_git_merge(path)
    if written:
        shown = os.path.relpath(written)
        job.reporter.emit(Notice("note", f"{shown} tells git how to merge locks: commit it with the lock"))
