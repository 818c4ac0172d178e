"""Which stages of a recipe are built, and in what order."""

from __future__ import annotations

from envbuild.errors import UsageError
from envbuild.language.model import Copy, Recipe, Stage


class NoSuchStage(UsageError):
    """`--stage` names a stage that the recipe doesn't have."""

    def __init__(self, recipe: Recipe, name: str) -> None:
        names = [stage.name for stage in recipe.stages if stage.name]
        has = f"its stages are: {', '.join(names)}" if names else "its only stage has no name"
        super().__init__(f"{recipe.path} has no stage '{name}'", has)


def stage_named(recipe: Recipe, name: str | None) -> Stage:
    """The stage of this name; the last one for None. Raises NoSuchStage."""
    if name is None:
        return recipe.stages[-1]
    for stage in recipe.stages:
        if stage.name == name:
            return stage
    raise NoSuchStage(recipe, name)


def stages_needed(recipe: Recipe, target: Stage) -> tuple[Stage, ...]:
    """`target` and the stages that it needs, each after those that it needs itself.

    Stages refer to earlier ones only (the language sees to that), so the recipe's order is a topological one.
    """
    named = {stage.name: stage for stage in recipe.stages if stage.name}
    needed = {id(target)}
    pending = [target]
    while pending:
        for name in stages_used(pending.pop()):
            stage = named.get(name)
            if stage is not None and id(stage) not in needed:
                needed.add(id(stage))
                pending.append(stage)
    return tuple(stage for stage in recipe.stages if id(stage) in needed)


def stages_used(stage: Stage) -> tuple[str, ...]:
    """The names that `stage` starts from or copies from, whether of stages or of images."""
    names = [stage.base.argument] if stage.base.kind == "stage" else []
    names += [item.origin for item in stage.statements if isinstance(item, Copy) and item.origin]
    return tuple(names)
