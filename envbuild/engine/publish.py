"""What a finished recipe becomes for others: an image, a moved tag, and the lock."""

from __future__ import annotations

import json
import time

from envbuild.engine.stage_run import StageRun, StepResult
from envbuild.language.model import Recipe
from envbuild.lock import Lock, LockedStage, LockedStep, first_line
from envbuild.plan import facts as plan_facts
from envbuild.store.images import Image
from envbuild.store.store import Store

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
                "steps": [_step_detail(result) for result in (*run.results, *run.tests)],
            }
            for run in runs
        ],
    }
    text = json.dumps(detail, sort_keys=True, separators=(",", ":"))
    return Image(digest, target.tree, plan_facts.dump(target.facts), text, time.time())


def _step_detail(result: StepResult) -> dict[str, object]:
    step = result.step
    return {
        "text": step.text,
        "file": step.place.file,
        "line": step.place.line,
        "kind": "test" if step.test else type(step.action).__name__,
        "key": result.key,
        "tree": result.tree,
        "output": result.output,
        "seconds": round(result.seconds, 3),
    }


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
        steps=tuple(LockedStep(first_line(r.step.text), r.key, r.tree) for r in run.results),
    )
