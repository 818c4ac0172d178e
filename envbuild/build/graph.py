"""A build as a graph: its recipes and their stages, numbered, each after those that it needs.

Nothing in it changes while it is built. How far each stage has come is in progress.py.
"""

from __future__ import annotations

import os

from envbuild.language import model
from envbuild.language.base_kinds import Base, base_text
from envbuild.lockfile.lock import Lock, LockedStage, path_of
from envbuild.plan.step import Origin
from envbuild.record import Record


class Stage(Record):
    """One stage of one recipe.

    `number` is its place among all stages of the graph, `event` the number of its base in the events of the build
    (those of its steps follow), and in what is shown of the image (images/build_steps.py). `name` is its own, or its
    number in the recipe. `needs` are the numbers of the stages that have to be done first: of what it starts from, if
    that is a stage or a recipe, and of what it copies from. `siblings` are the names that `copy(from=)` takes for
    stages of the recipe.
    """

    number: int
    recipe: int
    recipe_name: str
    name: str
    written: model.Stage
    siblings: frozenset[str]
    needs: tuple[int, ...]
    locked: LockedStage | None
    event: int

    @property
    def base(self) -> Base:
        """What the stage starts from."""
        return self.written.base

    @property
    def base_text(self) -> str:
        """The base as the recipe has it, and as the lock does."""
        return base_text(self.base)

    @property
    def base_statement(self) -> str:
        """The `from` statement of the stage."""
        return f"from {self.base_text}" + (f" as {self.written.name}" if self.written.name else "")


class PlannedRecipe(Record):
    """One recipe of a build, its lock as it was found, and the stages of it that are built. `target` is the stage that
    is the image; `others` are more images of the recipe, by name."""

    number: int
    recipe: model.Recipe
    lock_text: str | None
    lock: Lock | None
    stages: tuple[Stage, ...]
    target: Stage
    others: tuple[tuple[str, Stage], ...] = ()

    @property
    def path(self) -> str:
        """The recipe's path, as the user or another recipe names it."""
        return self.recipe.path

    @property
    def lock_path(self) -> str:
        """Where its lock lies."""
        return path_of(self.recipe.path)

    def stages_of(self, target: Stage) -> list[Stage]:
        """Return a stage with those of the recipe that it needs, itself last."""
        by_number = {stage.number: stage for stage in self.stages}
        numbers, pending = {target.number}, [target]
        while pending:
            for number in pending.pop().needs:
                if number in by_number and number not in numbers:
                    numbers.add(number)
                    pending.append(by_number[number])
        return [by_number[number] for number in sorted(numbers)]

    def pinned_image(self, reference: str) -> str | None:
        """Return the digest that the lock has for an image reference."""
        return dict(self.lock.own.images).get(reference) if self.lock is not None else None


class Graph(Record):
    """`recipes` end with the one that was asked for; `by_path` has their numbers by their real paths. `steps` counts
    steps and bases."""

    recipes: tuple[PlannedRecipe, ...]
    stages: tuple[Stage, ...]
    by_path: dict[str, int]
    steps: int

    @property
    def top(self) -> PlannedRecipe:
        """The recipe that was asked for."""
        return self.recipes[-1]

    def recipe_of(self, stage: Stage) -> PlannedRecipe:
        """Return the recipe that a stage belongs to."""
        return self.recipes[stage.recipe]

    def needed_by(self, recipe: PlannedRecipe) -> list[PlannedRecipe]:
        """Return the recipes that one is built from, itself last."""
        numbers, pending = {recipe.number}, list(recipe.stages)
        while pending:
            for number in pending.pop().needs:
                other = self.stages[number]
                if other.recipe not in numbers:
                    numbers.add(other.recipe)
                    pending += self.recipes[other.recipe].stages
        return [self.recipes[number] for number in sorted(numbers)]

    def origin(self, stage: Stage, origin: Origin) -> Stage | None:
        """Return the stage that `copy(from=)` of a stage means, None where it means an image."""
        if origin.kind == "stage":
            return next(other for other in self.recipe_of(stage).stages if other.written.name == origin.argument)
        if origin.kind == "recipe":
            return self.recipes[self.by_path[os.path.realpath(relative(origin.folder, origin.argument))]].target
        return None


def relative(folder: str, path: str) -> str:
    """Return a path that a statement of `folder` names."""
    return os.path.normpath(os.path.join(folder, path))
