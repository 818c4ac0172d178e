"""What a build changes of the bases and packages in a lock: for `update` to show."""

from __future__ import annotations

from envbuild.build.graph import PlannedRecipe
from envbuild.build.progress import Progress
from envbuild.build.request import Move
from envbuild.errors import UsageError, fields
from envbuild.lockfile.lock import LockedInstall, Package
from envbuild.packages.registry import plain_name
from envbuild.plan.step import InstallPackages
from envbuild.text.suggestion import nearest

SHOWN = 12
"""Digits of a digest that people see."""


@fields
class NotLocked(UsageError):
    """`update` names a package that the lock doesn't have."""

    name: str
    path: str
    near: str

    def text(self) -> tuple[str, str]:
        return (
            f"{self.path} has no package '{self.name}'" + (f": did you mean '{self.near}'?" if self.near else ""),
            f"see what it has with: grep name: {self.path}",
        )


def moves(recipe: PlannedRecipe, progress: Progress) -> tuple[Move, ...]:
    """Return what is different between a recipe's lock as it was and what its stages came to."""
    moved = []
    locked = {stage.name: stage for stage in recipe.lock.stages} if recipe.lock is not None else {}
    for stage in recipe.stages:
        before = locked.get(stage.name)
        old = _by_name(before.installs if before is not None else ())
        new: dict[tuple[str, str], Package] = {}
        at = progress[stage]
        if before is not None and not before.follows and before.digest != at.base.tree:
            digests = before.digest[:SHOWN], at.base.tree[:SHOWN]
            moved.append(Move(stage.recipe_name, stage.name, "base", stage.base_text, *digests))
            if before.packages.all and at.base.packages.all:
                old |= {("base", package.name): package for package in before.packages.all}
                new |= {("base", package.name): package for package in at.base.packages.all}
        for number, answer in at.answers.items():
            action = at.plan.steps[number].action
            assert isinstance(action, InstallPackages)
            new.update({(action.manager, package.name): package for package in answer.packages})
        for key in sorted(old.keys() | new.keys()):
            pair = old.get(key), new.get(key)
            if pair[0] is None or pair[1] is None or pair[0].hash != pair[1].hash:
                versions = [package.version if package is not None else "" for package in pair]
                moved.append(Move(stage.recipe_name, stage.name, *key, *versions))
    return tuple(moved)


def refuse_unknown(recipe: PlannedRecipe, names: tuple[str, ...]) -> None:
    """Raise NotLocked for names of packages that a recipe's lock doesn't have."""
    stages = recipe.lock.stages if recipe.lock is not None else ()
    known = {plain_name(package.name) for stage in stages for install in stage.installs for package in install.packages}
    for name in names:
        if name not in known:
            raise NotLocked(name, recipe.lock_path, nearest(name, known) or "")


def _by_name(installs: tuple[LockedInstall, ...]) -> dict[tuple[str, str], Package]:
    return {(install.manager, package.name): package for install in installs for package in install.packages}
