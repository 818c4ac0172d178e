"""What a finished recipe becomes for others: an image, a moved tag, and the lock; the needed recipes' first."""

from __future__ import annotations

import json
import os
import time

from envbuild import lock as locks
from envbuild.engine.events import BuildFinished, Notice
from envbuild.engine.lock_memo import remember_lock
from envbuild.engine.request import BuildResult
from envbuild.engine.session import RecipeRun, Session
from envbuild.engine.stage_run import Answer, StageRun, StepResult
from envbuild.git.head import branch_of
from envbuild.git.provenance import provenance
from envbuild.language.model import Recipe
from envbuild.lock import Lock, LockedStage, LockedStep, LockOutOfDate, first_line
from envbuild.plan import facts as plan_facts
from envbuild.plan.facts import image_digest
from envbuild.plan.step import InstallPackages
from envbuild.store import publish as points
from envbuild.store.fetched import FETCHED, PACKAGE
from envbuild.store.images import Image
from envbuild.store.reference import LATEST, as_tag, split_name
from envbuild.store.store import Store
from envbuild.store.tags import BUILD

Pairs = tuple[tuple[str, str], ...]


def image_of(recipe: Recipe, runs: tuple[StageRun, ...], target: StageRun) -> Image:
    """The image that the stage `target` came to, with the detail of its build (docs/commands.md, `show`)."""
    digest = plan_facts.image_digest(target.tree, target.facts)
    detail = {
        "recipe": recipe.name,
        "path": recipe.path,
        "parameters": dict(recipe.parameters),
        "stages": [
            {
                "stage": run.name,
                "base": run.base_text,
                "origin": run.base.origin if run.base else "",
                "tree": run.base.tree if run.base else "",
                "steps": [
                    *(_step_detail(result, run.answers.get(number)) for number, result in enumerate(run.results)),
                    *(_step_detail(result, None) for result in run.tests),
                ],
            }
            for run in runs
        ],
    }
    text = json.dumps(detail, sort_keys=True, separators=(",", ":"))
    return Image(digest, target.tree, plan_facts.dump(target.facts), text, time.time())


def _step_detail(result: StepResult, answer: Answer | None) -> dict[str, object]:
    step = result.step
    detail: dict[str, object] = {
        "text": step.text,
        "file": step.place.file,
        "line": step.place.line,
        "kind": "test" if step.test else type(step.action).__name__,
        "key": result.key,
        "tree": result.tree,
        "output": result.output,
        "seconds": round(result.seconds, 3),
        "owners_kept": result.owners_kept,
    }
    if answer is not None:
        action = step.action
        assert isinstance(action, InstallPackages)
        detail["packages"] = [[action.manager, one.name, one.version, one.hash] for one in answer.packages]
    return detail


def lock_of(
    recipe: Recipe, runs: tuple[StageRun, ...], image: Image, store: Store, fetched: Pairs, images: Pairs
) -> Lock:
    """The lock of a recipe whose stages `runs` are done."""
    target = runs[-1]
    return Lock(
        recipe=recipe.name,
        image=image.digest,
        tree=image.tree,
        size=store.size(image.tree)[1],
        epoch=target.facts.epoch,
        stages=tuple(locked_stage(run) for run in runs),
        parameters=tuple(sorted(recipe.parameters)),
        fetched=fetched,
        images=images,
    )


def locked_stage(run: StageRun) -> LockedStage:
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


def publish_all(session: Session) -> BuildResult:
    """Records the images, moves the tags, and writes the locks, the needed recipes' first."""
    results = [_publish(session, one) for one in session.recipes]
    return results[-1]


def _publish(session: Session, one: RecipeRun) -> BuildResult:
    top = one is session.recipes[-1]
    recipe = one.recipe
    image_digest_now = image_digest(one.target.tree, one.target.facts)
    partial = top and session.request.stage is not None
    known = session.store.images.get(image_digest_now)
    ran = any(not result.cached for run in one.runs for result in (*run.results, *run.tests))
    facts = plan_facts.dump(one.target.facts)
    if known is None or ran or (known.tree, known.facts) != (one.target.tree, facts):
        session.store.images.put(image_of(recipe, one.runs, one.target))
    tags = _move_tags(session, one, image_digest_now)
    session.store.images.succeed(recipe.name)
    lock_path = locks.path_of(recipe.path)
    state = "none"
    if not partial and not (top and session.request.settings):
        state = _write_lock(session, one, lock_path)
    if top:
        session.emit(
            BuildFinished(
                recipe.name,
                image_digest_now,
                tags,
                one.target.tree,
                time.monotonic() - session.started,
                session.counts["ran"],
                session.counts["cached"],
                lock_path,
                state,
            )
        )
    return BuildResult(image_digest_now, one.target.tree, tags, session.counts["ran"], session.counts["cached"])


def _move_tags(session: Session, one: RecipeRun, image: str) -> tuple[str, ...]:
    """Has the recipe's tags name the image; returns them."""
    request, tags = session.request, session.store.tags
    top = one is session.recipes[-1]
    if top and request.tag is not None:
        names = [split_name(request.tag)]
    elif top and request.stage is not None:
        return ()
    else:
        branch = branch_of(os.path.dirname(one.recipe.path))
        names = [(one.recipe.name, tag) for tag in dict.fromkeys((LATEST, as_tag(branch or LATEST) or LATEST))]
    moving = []
    for name, tag in names:
        was = tags.get(name, tag)
        if was is None or was.image != image or (request.immutable and top and not was.immutable):
            moving.append((name, tag))
    if moving:
        known = {
            "user": request.user,
            "recipe": one.recipe.path,
            "seconds": round(time.monotonic() - session.started, 3),
            "ran": session.counts["ran"],
            "cached": session.counts["cached"],
            **provenance(one.recipe.path),
        }
        tags.move(moving, image, BUILD, known, immutable=request.immutable and top)
    return tuple(f"{name}:{tag}" for name, tag in names)


def _write_lock(session: Session, one: RecipeRun, path: str) -> str:
    image = session.store.images.get(image_digest(one.target.tree, one.target.facts))
    assert image is not None
    fetched = tuple(sorted(one.fetched.items()))
    images = tuple(sorted(one.images.items()))
    lock = lock_of(one.recipe, one.runs, image, session.store, fetched, images)
    text = locks.dump(lock)
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
        named = [*trees, *(f"{FETCHED}{digest}" for _, digest in fetched), *(f"{PACKAGE}{h}" for h in sorted(hashes))]
        session.store.register_lock(os.path.abspath(path), keys, named)
    return state


def _let_git_merge(session: Session, path: str) -> None:
    from envbuild.git.attributes import let_git_merge  # only where a lock is written

    written = let_git_merge(path)
    if written:
        shown = os.path.relpath(written)
        session.emit(Notice("note", f"{shown} tells git how to merge locks: commit it with the lock"))
