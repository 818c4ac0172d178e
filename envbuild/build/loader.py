"""Loads the recipe of a build and those that it needs, and lays out their stages."""

from __future__ import annotations

import os

from envbuild.build.bases import Bases
from envbuild.build.events import BuildStarted
from envbuild.build.inputs import Gatherer
from envbuild.build.project import MOST_LOCK, read_inside
from envbuild.build.recipe_cache import load
from envbuild.build.stage import StageRun
from envbuild.build.state import RecipeRun, Session, relative
from envbuild.errors import UsageError
from envbuild.language import model
from envbuild.lockfile import lock as locks
from envbuild.lockfile.lock import Lock, LockOutOfDate
from envbuild.plan.graph import stage_named, stages_needed

STEP_STATEMENTS = (
    model.Apt,
    model.Pip,
    model.Npm,
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


class RecipeCircle(UsageError):
    """Recipes that are each other's bases."""

    def __init__(self, paths: list[str]) -> None:
        super().__init__(f"recipes that need each other: {' -> '.join(paths)}", "one of them has to start elsewhere")


class _Loader:
    """Loads the recipes of one session, each once."""

    def __init__(self, session: Session) -> None:
        self.session = session

    def load_all(self) -> None:
        """Loads the recipe that was asked for, and those that it needs, these first."""
        top = self._load(self.session.request.path, [])
        number = 1
        for recipe in self.session.recipes:
            for run in recipe.runs:
                self.session.numbers[id(run)] = number
                number += 1 + sum(isinstance(item, STEP_STATEMENTS) for item in run.stage.statements)
        self.session.emit(BuildStarted(top.recipe.name, top.recipe.path, number - 1))

    def _load(self, path: str, above: list[str]) -> RecipeRun:
        real = os.path.realpath(path)
        if real in above:
            raise RecipeCircle([os.path.relpath(one) for one in [*above[above.index(real) :], real]])
        if real in self.session.by_path:
            return self.session.by_path[real]
        top = not above
        settings = self.session.request.settings if top else ()
        recipe = load(path, settings, self.session.store, self.session.project)
        lock_path = locks.path_of(recipe.path)
        lock_text, lock = self._read_lock(lock_path)
        if self.session.request.locked and lock is None:
            raise LockOutOfDate(lock_path, "there is no lock yet")
        one = RecipeRun(recipe, lock_text, lock)
        one.bases = Bases(
            self.session.store,
            self.session.request.epoch,
            refresh=self.session.request.refresh,
            locked=not self.session.request.record,
            context=lambda folder: self.session.context(one, folder),
            pinned_image=lambda reference: dict(lock.images).get(reference) if lock is not None else None,
            fits=self.session.fits,
        )
        one.gatherer = Gatherer(
            self.session.store,
            lambda folder: self.session.context(one, folder),
            lambda origin: self.session.tree_of(one, origin),
            lambda action: self.session.fetched(one, action),
            lambda step, contents: self.session.packages(one, step, contents),
        )
        target = stage_named(recipe, self.session.request.stage if top else None)
        names = frozenset(stage.name for stage in recipe.stages if stage.name)
        made: dict[int, StageRun] = {}
        for number, stage in enumerate(recipe.stages, 1):
            if stage not in stages_needed(recipe, target):
                continue
            needs = self._needs(stage, made, recipe, [*above, real])
            name = stage.name or str(number)
            run = StageRun(recipe.name, number, stage, None, needs, names)
            run.locked = (
                lock.stage(name, run.base_text) if lock is not None and not self.session.request.refresh else None
            )
            made[id(stage)] = run
            self.session.owners[id(run)] = one
        one.runs = tuple(made.values())
        self.session.by_path[real] = one
        self.session.recipes.append(one)
        return one

    def _needs(
        self, stage: model.Stage, made: dict[int, StageRun], recipe: model.Recipe, above: list[str]
    ) -> tuple[StageRun, ...]:
        """The runs of what a stage starts from and copies from; the base first, if it is one of them."""
        by_name = {one.name: made[id(one)] for one in recipe.stages if one.name and id(one) in made}
        needs = []
        if stage.base.kind == "stage":
            needs.append(by_name[stage.base.argument])
        elif stage.base.kind == "recipe":
            needs.append(self._load(relative(stage.base.folder, stage.base.argument), above).target)
        for statement in stage.statements:
            if isinstance(statement, model.Copy) and statement.origin is not None:
                if statement.origin in by_name:
                    needs.append(by_name[statement.origin])
                elif statement.origin.startswith("recipe:"):
                    path = relative(statement.folder, statement.origin.removeprefix("recipe:"))
                    needs.append(self._load(path, above).target)
        return tuple(needs)

    def _read_lock(self, path: str) -> tuple[str | None, Lock | None]:
        try:
            text = read_inside(self.session.project, path, MOST_LOCK).decode()
        except FileNotFoundError:
            return None, None
        except (OSError, UnicodeDecodeError) as error:
            raise locks.BadLock(path, getattr(error, "strerror", None) or str(error)) from error
        from envbuild.lockfile.lock_memo import read_lock

        return text, read_lock(text, path, self.session.store)


def load_all(session: Session) -> None:
    """Loads the recipe that was asked for, and those that it needs, these first."""
    _Loader(session).load_all()
