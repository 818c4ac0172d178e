"""The record of an image that a build came to."""

from __future__ import annotations

import time

from envbuild.build.stage import Answer, StageRun, StepResult
from envbuild.language.model import Recipe
from envbuild.plan import image_config as plan_facts
from envbuild.plan.step import InstallPackages
from envbuild.store.images import Image
from envbuild.text import json

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any


def image_of(
    recipe: Recipe, runs: tuple[StageRun, ...], target: StageRun, sources: dict[str, Any] | None = None
) -> Image:
    """The image that the stage `target` came to, with the detail of its build (docs/commands.md, `show`) and what it
    was built from (sources.py)."""
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
        **({"sources": sources} if sources else {}),
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
