"""The stages of a recipe that are built, and their order."""

from __future__ import annotations

from envbuild.errors import UsageError, fields
from envbuild.language.base_kinds import StageBase
from envbuild.language.model import Recipe, Stage, origins_of


@fields
class NoSuchStage(UsageError):
    """`--stage` names a stage that the recipe doesn't have."""

    recipe: Recipe
    name: str

    def text(self) -> tuple[str, str]:
        names = [stage.name for stage in self.recipe.stages if stage.name]
        has = f"its stages are: {', '.join(names)}" if names else "its only stage has no name"
        return f"{self.recipe.path} has no stage '{self.name}'", has


def stage_number(recipe: Recipe, name: str | None) -> int:
    """Return the number of the stage of this name, from 0; that of the recipe's own image for None. Raises
    NoSuchStage."""
    if name is None:
        return recipe.main
    for number, stage in enumerate(recipe.stages):
        if stage.name == name:
            return number
    raise NoSuchStage(recipe, name)


def stages_needed(recipe: Recipe, *targets: int) -> tuple[int, ...]:
    """Return the numbers of the stages `targets` and of those that they need, each after those that it needs itself.

    Stages refer to earlier ones only (the language sees to that), so the recipe's order is a topological one.
    """
    numbers = {stage.name: number for number, stage in enumerate(recipe.stages) if stage.name}
    needed = set(targets)
    pending = list(targets)
    while pending:
        for name in stages_used(recipe.stages[pending.pop()]):
            number = numbers.get(name)
            if number is not None and number not in needed:
                needed.add(number)
                pending.append(number)
    return tuple(sorted(needed))


def stages_used(stage: Stage) -> tuple[str, ...]:
    """Return the names that `stage` starts from or copies from, whether of stages or of images; its base's first."""
    names = [stage.base.name] if isinstance(stage.base, StageBase) else []
    names += [origin for statement in stage.statements for origin in origins_of(statement)]
    return tuple(names)
