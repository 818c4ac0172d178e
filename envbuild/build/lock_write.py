"""The lock that a build writes beside its recipe."""

from __future__ import annotations

import os

from envbuild.build.events import Notice
from envbuild.build.graph import PlannedRecipe
from envbuild.build.job import BuildJob
from envbuild.build.progress import StageProgress, StepResult
from envbuild.lockfile import lock_file
from envbuild.lockfile.lock import Lock, LockedStage, LockedStep, LockOutOfDate, difference, first_line
from envbuild.plan.image_config import image_digest
from envbuild.store import failpoints as points
from envbuild.store.fetched import FETCHED, PACKAGE


def lock_of(job: BuildJob, recipe: PlannedRecipe) -> Lock:
    """Return the lock of a recipe whose stages are done."""
    target = job.progress[recipe.target]
    before = (recipe.lock.tree,) if recipe.lock is not None else ()
    return Lock(
        recipe=recipe.recipe.name,
        image=image_digest(target.tree, target.facts),
        tree=target.tree,
        size=job.store.size(target.tree, (*before, target.base.tree))[1],
        epoch=target.facts.epoch,
        stages=tuple(_locked_stage(job.progress[stage]) for stage in recipe.stages),
        parameters=tuple(sorted(recipe.recipe.parameters)),
        fetched=tuple(sorted(job.sources.fetched(recipe).items())),
        images=tuple(sorted(job.sources.images(recipe).items())),
    )


def _locked_stage(at: StageProgress) -> LockedStage:
    return LockedStage(
        name=at.stage.name,
        base=at.stage.base_text,
        digest=at.base.tree,
        origin=at.base.origin,
        epoch=at.facts.epoch,
        steps=tuple(_locked_step(at, result) for result in at.results),
        packages=at.base.packages,
        released=at.base.released,
    )


def _locked_step(at: StageProgress, result: StepResult) -> LockedStep:
    answer = at.answers.get(result.number)
    text = first_line(result.step.text)
    if answer is None:
        return LockedStep(text, result.key, result.tree)
    return LockedStep(text, result.key, result.tree, answer.asks, answer.packages, answer.sees)


def write_lock(job: BuildJob, recipe: PlannedRecipe, lock: Lock) -> str:
    """Write the lock beside its recipe if its text changed, and register it; return `written` or `unchanged`.

    Raises LockOutOfDate where it may not change.
    """
    store = job.store
    path, text = recipe.lock_path, lock_file.dump(lock)
    stages = [job.progress[stage] for stage in recipe.stages]
    hashes = {package.hash for at in stages for answer in at.answers.values() for package in answer.packages}
    hashes |= {package.hash for at in stages for package in at.base.packages.all}
    keys = [result.key for at in stages for result in at.all_results]
    trees = [tree for at in stages for tree in (at.base.tree, *(result.tree for result in at.results))]
    state = "unchanged"
    if text != recipe.lock_text:
        if job.request.locked:
            raise LockOutOfDate(path, difference(path, recipe.lock_text or "", text))
        points.at(points.LOCK)
        lock_file.write(path, text)
        lock_file.remember_lock(text, lock, store)
        state = "written"
        if any(at.answers for at in stages):
            _let_git_merge(job, path)
    if state == "written" or not store.is_registered(os.path.abspath(path), keys):
        named = [
            *trees,
            *(f"{FETCHED}{digest}" for _, digest in lock.fetched),
            *(f"{PACKAGE}{digest}" for digest in sorted(hashes)),
        ]
        store.register_lock(os.path.abspath(path), keys, named)
    return state


def _let_git_merge(job: BuildJob, path: str) -> None:
    from envbuild.git.install import let_git_merge  # only where a lock is written

    written = let_git_merge(path)
    if written:
        shown = os.path.relpath(written)
        job.reporter.emit(Notice("note", f"{shown} tells git how to merge locks: commit it with the lock"))
