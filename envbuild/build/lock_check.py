"""The check of a build against its lock. With --locked a pin that would have to change is refused, and a step that gave
another tree than the lock says; else the user is told."""

from __future__ import annotations

from envbuild.build.events import Emit, Notice
from envbuild.build.graph import PlannedRecipe, Stage
from envbuild.build.progress import BaseTree, StepResult
from envbuild.build.request import BuildRequest
from envbuild.lockfile.lock import Lock, LockOutOfDate, difference, first_line
from envbuild.store.database import StoreDamaged
from envbuild.store.store import Store

_MAX_SHOWN = 5
"""Results that a message names."""


def check_base(stage: Stage, base: BaseTree, recipe: PlannedRecipe, strict: bool, emit: Emit) -> None:
    """Refuse a base that is not the one in the lock if `strict`; else tell when it differs."""
    locked, path = stage.locked, recipe.lock_path
    if locked is None:
        if strict:
            here = recipe.lock.own.architecture if recipe.lock is not None and not recipe.lock.stages else ""
            what = f"not in the lock for {here}" if here else "not in the lock"
            raise LockOutOfDate(path, f"+ stage {stage.name}: from {stage.base_text}  ({what})")
        return
    if locked.follows or locked.digest == base.tree or (not locked.digest and not strict):
        return
    what = f"stage {stage.name}: from {stage.base_text}"
    if strict:
        raise LockOutOfDate(path, f"  {what}\n- {locked.digest or 'renewed by two branches'}\n+ {base.tree}")
    emit(
        Notice(
            "warning",
            f"{what} is not what the lock has (lock {locked.digest[:12]}, now {base.tree[:12]})",
            "the lock is renewed; look at its diff before you commit it",
        )
    )


def check_result(
    store: Store, stage: Stage, result: StepResult, recipe: PlannedRecipe, request: BuildRequest, emit: Emit
) -> None:
    """Refuse a step whose tree is not the lock's with --locked, else tell of it; one that has not run yet has no tree.
    With --locked=exact, refuse one that the lock lacks."""
    if result.step.test or stage.locked is None or recipe.lock is None:
        return
    text = first_line(result.step.text)
    trees = recipe.lock.results.steps.get(result.key)
    if not trees:
        if request.exact:
            raise LockOutOfDate(recipe.lock_path, f"+ {text}  (the lock does not have what it gives)")
        return
    if not result.tree or trees == (result.tree,):
        return
    if request.locked:
        lines = [f"  {text}", *(f"- gave tree {tree}" for tree in trees if tree != result.tree)]
        lines += [f"+ gave tree {result.tree}"]
        raise LockOutOfDate(recipe.lock_path, "\n".join([*lines, *_paths(store, trees, result.tree)]))
    what = "another tree than the lock has for it" if len(trees) == 1 else "one of the two trees that the lock has"
    emit(
        Notice(
            "warning",
            f"'{text}' gave {what}",
            "the step is not reproducible: `envbuild build --check` shows which files differ",
        )
    )


def _paths(store: Store, trees: tuple[str, ...], tree: str) -> list[str]:
    """Return the paths in which the trees of a lock differ from one, as far as the store has these."""
    from envbuild.build.check_differences import differences  # only where there is something to show

    for other in trees:
        if other != tree and store.trees.has(other) and store.trees.has(tree):
            try:
                lines = differences(store, other, tree, ("the lock's tree", "the tree of this build"))
            except StoreDamaged:
                continue
            return [f"    {line}" for line in lines]
    return []


def check_pins(path: str, locked: Lock, built: Lock) -> None:
    """Raise LockOutOfDate if a build had to pin something else than its lock does."""
    if _pins(locked) == _pins(built):
        return
    from envbuild.lockfile.lock_file import pins_text  # only where there is something to show

    raise LockOutOfDate(path, difference(path, pins_text(locked), pins_text(built)))


def _pins(lock: Lock) -> object:
    """Return what of a lock has to stay. That the statements ask the same is known already: else they would have no
    answer."""
    stages = [
        (
            stage.name,
            stage.base,
            stage.digest,
            stage.epoch,
            stage.released,
            stage.packages,
            [(install.manager, install.packages) for install in stage.installs],
        )
        for stage in lock.stages
    ]
    return lock.parameters, lock.own.fetched, lock.own.commits, lock.own.images, stages


def check_exact(path: str, locked: Lock, built: Lock) -> None:
    """Raise LockOutOfDate if a lock lacks a result of a build."""
    missing = missing_results(locked, built)
    if missing:
        more = [f"and {len(missing) - _MAX_SHOWN} more"] if len(missing) > _MAX_SHOWN else []
        raise LockOutOfDate(path, "\n".join([*missing[:_MAX_SHOWN], *more]))


def missing_results(locked: Lock, built: Lock) -> list[str]:
    """Return a line for each result of a build that a lock lacks."""
    missing = [
        f"+ step {key} gave {trees[0]}"
        for key, trees in built.results.steps.items()
        if locked.results.steps.get(key) != trees
    ]
    missing += [f"+ image {image.digest}" for image in built.results.images if image not in locked.results.images]
    return missing
