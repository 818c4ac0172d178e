"""What a build changes of the packages in a lock: for `update` to show."""

from __future__ import annotations

from collections.abc import Iterable

from envbuild.build.package_lock import manager_of, plain_name
from envbuild.build.request import Move
from envbuild.build.state import RecipeRun
from envbuild.errors import UsageError
from envbuild.lockfile.lock import LockedStep, Package
from envbuild.plan.step import InstallPackages
from envbuild.text.suggestion import did_you_mean


class NotLocked(UsageError):
    """`update` names a package that the lock doesn't have."""

    def __init__(self, name: str, path: str, known: Iterable[str]) -> None:
        near = did_you_mean(name, known)
        super().__init__(
            f"{path} has no package '{name}'" + (f": {near}" if near else ""),
            f"see what it has with: grep name: {path}",
        )


def moves(one: RecipeRun) -> tuple[Move, ...]:
    """What is different between a recipe's lock as it was and what its stages came to."""
    found = []
    stages = {stage.name: stage.steps for stage in one.lock.stages} if one.lock is not None else {}
    for run in one.runs:
        old = _named(stages.get(run.name, ()))
        new: dict[tuple[str, str], Package] = {}
        for number, answer in run.answers.items():
            action = run.plan.steps[number].action
            assert isinstance(action, InstallPackages)
            new.update({(action.manager, package.name): package for package in answer.packages})
        for key in sorted(old.keys() | new.keys()):
            before, after = old.get(key), new.get(key)
            if before is None or after is None or before.hash != after.hash:
                versions = [package.version if package is not None else "" for package in (before, after)]
                found.append(Move(run.recipe, run.name, *key, *versions))
    return tuple(found)


def refuse_unknown(one: RecipeRun, names: tuple[str, ...], path: str) -> None:
    """Raises NotLocked for names of packages that a recipe's lock doesn't have."""
    stages = one.lock.stages if one.lock is not None else ()
    known = {plain_name(p.name) for stage in stages for step in stage.steps for p in step.packages}
    for name in names:
        if name not in known:
            raise NotLocked(name, path, known)


def _named(steps: tuple[LockedStep, ...]) -> dict[tuple[str, str], Package]:
    return {(manager_of(step), package.name): package for step in steps if step.installs for package in step.packages}
