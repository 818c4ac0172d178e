"""The lock that a build writes beside its recipe."""

from __future__ import annotations

import os

from envbuild.build.events import Notice
from envbuild.build.stage import StageRun, StepResult
from envbuild.build.state import RecipeRun, Session
from envbuild.lockfile import lock as locks
from envbuild.lockfile.lock import Lock, LockedStage, LockedStep, LockOutOfDate, first_line
from envbuild.lockfile.lock_memo import remember_lock
from envbuild.plan.image_config import image_digest
from envbuild.store import failpoints as points
from envbuild.store.fetched import FETCHED, PACKAGE
from envbuild.store.store import Store


def lock_of(one: RecipeRun, store: Store) -> Lock:
    """The lock of a recipe whose stages are done."""
    target = one.target
    return Lock(
        recipe=one.recipe.name,
        image=image_digest(target.tree, target.facts),
        tree=target.tree,
        size=store.size(target.tree)[1],
        epoch=target.facts.epoch,
        stages=tuple(_locked_stage(run) for run in one.runs),
        parameters=tuple(sorted(one.recipe.parameters)),
        fetched=tuple(sorted(one.fetched.items())),
        images=tuple(sorted(one.images.items())),
    )


def _locked_stage(run: StageRun) -> LockedStage:
    """What the lock says of one stage."""
    assert run.base is not None
    return LockedStage(
        name=run.name,
        base=run.base_text,
        digest=run.base.tree,
        origin=run.base.origin,
        epoch=run.facts.epoch,
        steps=tuple(_locked_step(run, number, result) for number, result in enumerate(run.results)),
    )


def _locked_step(run: StageRun, number: int, result: StepResult) -> LockedStep:
    answer = run.answers.get(number)
    asks, packages = (answer.asks, answer.packages) if answer is not None else ("", ())
    return LockedStep(first_line(result.step.text), result.key, result.tree, asks, packages)


def write_lock(session: Session, one: RecipeRun, lock: Lock) -> str:
    """Writes the lock beside its recipe if its text changed, and registers it; returns `written` or `unchanged`.

    Raises LockOutOfDate where it may not change.
    """
    path, text = locks.path_of(one.recipe.path), locks.dump(lock)
    hashes = {p.hash for run in one.runs for answer in run.answers.values() for p in answer.packages}
    keys = [result.key for run in one.runs for result in (*run.results, *run.tests)]
    trees = [tree for run in one.runs if run.base for tree in (run.base.tree, *(r.tree for r in run.results))]
    state = "unchanged"
    if text != one.lock_text:
        if session.request.locked:
            raise LockOutOfDate(path, locks.difference(path, one.lock_text or "", text))
        points.at(points.LOCK)
        locks.write(path, text)
        remember_lock(text, lock, session.store)
        state = "written"
        if any(run.answers for run in one.runs):
            _let_git_merge(session, path)
    if state == "written" or not session.store.is_registered(os.path.abspath(path), keys):
        named = [
            *trees,
            *(f"{FETCHED}{digest}" for _, digest in lock.fetched),
            *(f"{PACKAGE}{h}" for h in sorted(hashes)),
        ]
        session.store.register_lock(os.path.abspath(path), keys, named)
    return state


def _let_git_merge(session: Session, path: str) -> None:
    from envbuild.git.install import let_git_merge  # only where a lock is written

    written = let_git_merge(path)
    if written:
        shown = os.path.relpath(written)
        session.emit(Notice("note", f"{shown} tells git how to merge locks: commit it with the lock"))
