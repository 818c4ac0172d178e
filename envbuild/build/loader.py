"""Loads the recipe of a build and those that it needs, and lays out their stages as a graph."""

from __future__ import annotations

import os

from envbuild.build.graph import Graph, PlannedRecipe, Stage, relative
from envbuild.build.recipe_cache import load
from envbuild.build.recipe_files import MAX_LOCK, read_inside
from envbuild.build.request import BuildRequest
from envbuild.errors import UsageError, fields
from envbuild.language import model
from envbuild.language.base_kinds import RecipeBase, base_text
from envbuild.lockfile.lock import BadLock, Lock, LockOutOfDate, path_of
from envbuild.plan.graph import stage_number, stages_needed, stages_used
from envbuild.record import Record
from envbuild.store.store import Store

STEP_STATEMENTS = (
    model.Apt,
    model.Pip,
    model.Npm,
    model.OfLock,
    model.Copy,
    model.Render,
    model.File,
    model.Fetch,
    model.AddUser,
    model.Run,
    model.Test,
    model.Discard,
    model.WorkDir,
)


RECIPE = "recipe:"


@fields
class RecipeCycle(UsageError):
    """Recipes that are each other's bases."""

    paths: list[str]

    def text(self) -> tuple[str, str]:
        return f"recipes that need each other: {' -> '.join(self.paths)}", "one of them has to start elsewhere"


class _Loaded(Record):
    """A recipe with its lock; `needed` are the numbers of the stages that are built, `target` that of its image, and
    `others` those of more images by name."""

    real_path: str
    recipe: model.Recipe
    lock_text: str | None
    lock: Lock | None
    needed: tuple[int, ...]
    target: int
    others: tuple[tuple[str, int], ...]


class _Loader:
    """Loads the recipes of one build, each once."""

    def __init__(self, request: BuildRequest, store: Store, project: str) -> None:
        self._request = request
        self._store = store
        self._project = project
        self.loaded: dict[str, _Loaded] = {}
        """By their real paths, each after those that it needs."""

    def load(self, path: str, above: tuple[str, ...] = ()) -> None:
        """Load a recipe, after those that it needs. `above` are the real paths of those that need it."""
        real = os.path.realpath(path)
        if real in above:
            raise RecipeCycle([os.path.relpath(recipe) for recipe in (*above[above.index(real) :], real)])
        if real in self.loaded:
            return
        recipe = load(path, () if above else self._request.settings, self._store, self._project)
        lock_path = path_of(recipe.path)
        lock_text, lock = self._read_lock(lock_path)
        if self._request.locked and lock is None:
            raise LockOutOfDate(lock_path, "there is no lock yet")
        asked = None if above else self._request.stage
        target = stage_number(recipe, asked)
        # A lock has the stages of all images; a build of one stage writes none.
        others = recipe.images if asked is None else ()
        needed = stages_needed(recipe, target, *(number for _, number in others))
        for number in needed:
            for other in recipes_used(recipe.stages[number]):
                self.load(other, (*above, real))
        self.loaded[real] = _Loaded(real, recipe, lock_text, lock, needed, target, others)

    def _read_lock(self, path: str) -> tuple[str | None, Lock | None]:
        try:
            text = read_inside(self._project, path, MAX_LOCK).decode()
        except FileNotFoundError:
            return None, None
        except (OSError, UnicodeDecodeError) as error:
            raise BadLock(path, getattr(error, "strerror", None) or str(error)) from error
        from envbuild.lockfile.lock_file import read_lock

        return text, read_lock(text, path, self._store)


def load_graph(request: BuildRequest, store: Store, project: str) -> Graph:
    """Load the recipe that a build is asked for and those that it needs, all of which lie in the real folder `project`.

    Raises what is wrong with any of them: RecipeErrors, UnreadableFile, RecipeCycle, NoSuchStage, BadLock, and
    LockOutOfDate where a lock has to be there.
    """
    loader = _Loader(request, store, project)
    loader.load(request.path)
    recipes: list[PlannedRecipe] = []
    stages: list[Stage] = []
    by_path: dict[str, int] = {}
    # The steps of the recipe that was asked for come first, so that they have the numbers that its image shows.
    lengths = [_length(loaded) for loaded in loader.loaded.values()]
    event = 1 + lengths[-1]
    for loaded in loader.loaded.values():
        recipe = loaded.recipe
        names = frozenset(stage.name for stage in recipe.stages if stage.name)
        first = len(stages)
        if len(recipes) == len(lengths) - 1:
            event = 1
        for number in loaded.needed:
            written = recipe.stages[number]
            name = written.name or str(number + 1)
            locked = None
            if loaded.lock is not None and not request.refresh:
                locked = loaded.lock.stage(name, base_text(written.base))
            by_name = {stage.written.name: stage.number for stage in stages[first:] if stage.written.name}
            siblings = [by_name[used] for used in stages_used(written) if used in by_name]
            others = [recipes[by_path[os.path.realpath(path)]].target.number for path in recipes_used(written)]
            starts_elsewhere = isinstance(written.base, RecipeBase)
            # What it starts from comes first.
            needs = (*others, *siblings) if starts_elsewhere else (*siblings, *others)
            stage = Stage(len(stages), len(recipes), recipe.name, name, written, names, needs, locked, event)
            stages.append(stage)
            event += _steps(written)
        by_path[loaded.real_path] = len(recipes)
        own = tuple(stages[first:])
        by_number = dict(zip(loaded.needed, own, strict=True))
        images = [(name, by_number[number]) for name, number in loaded.others if name != recipe.name]
        recipes.append(
            PlannedRecipe(
                len(recipes), recipe, loaded.lock_text, loaded.lock, own, by_number[loaded.target], tuple(images)
            )
        )
    return Graph(tuple(recipes), tuple(stages), by_path, sum(lengths))


def _length(loaded: _Loaded) -> int:
    return sum(_steps(loaded.recipe.stages[number]) for number in loaded.needed)


def _steps(stage: model.Stage) -> int:
    """Return the number of a stage's steps, its base among them."""
    return 1 + sum(isinstance(statement, STEP_STATEMENTS) for statement in stage.statements)


def recipes_used(stage: model.Stage) -> list[str]:
    """Return the paths of the recipes that a stage starts from or copies from, its base's first."""
    paths = []
    if isinstance(stage.base, RecipeBase):
        paths.append(relative(stage.base.folder, stage.base.path))
    for statement in stage.statements:
        for origin in model.origins_of(statement):
            if origin.startswith(RECIPE):
                paths.append(relative(os.path.dirname(statement.place.file), origin.removeprefix(RECIPE)))
    return paths
