"""What a build changes of the bases, packages, fetched files and images in a lock: for `update` to show."""

from __future__ import annotations

from collections.abc import Iterator

from envbuild.build.graph import PlannedRecipe
from envbuild.build.progress import Progress, StageProgress
from envbuild.build.request import Move
from envbuild.build.sources import Sources
from envbuild.errors import UsageError, fields
from envbuild.http.addresses import without_user
from envbuild.lockfile.lock import LockedInstall, LockedStage, Package
from envbuild.packages.manager import INSTALLED
from envbuild.packages.pin_changes import (
    DIGITS,
    SAME_ADDRESS,
    SAME_TAG,
    SAME_VERSION,
    base_change,
    elsewhere,
    is_other_image,
)
from envbuild.packages.plain_names import plain_name
from envbuild.plan.step import FetchFile, InstallPackages
from envbuild.store.store import Store
from envbuild.text.suggestion import nearest


@fields
class NotLocked(UsageError):
    """`update` names a package that no statement of the lock has; `base` is the base that has it, "" for none."""

    name: str
    path: str
    near: str
    base: str = ""

    def text(self) -> tuple[str, str]:
        if self.base:
            return (
                f"{self.path}: '{self.name}' is a package of the base {self.base}, which is renewed as a whole",
                f"renew the base, and all else that the lock pins: envbuild update {self.path.removesuffix('.lock')}",
            )
        return (
            f"{self.path} has no package '{self.name}'" + (f": did you mean '{self.near}'?" if self.near else ""),
            f"see what it has with: grep name: {self.path}",
        )


FETCH, IMAGE = "fetch", "image"
"""What stands for a manager with fetched files and images."""


def moves(
    recipe: PlannedRecipe, progress: Progress, sources: Sources, store: Store, named: frozenset[str] = frozenset()
) -> tuple[Move, ...]:
    """Return what is different between a recipe's lock as it was and what its stages came to; `named` are the packages
    that were to be renewed, none where all were. What has other content without another version comes first."""
    locked = {stage.name: stage for stage in recipe.lock.stages} if recipe.lock is not None else {}
    moved = [move for stage in recipe.stages for move in _of_stage(locked.get(stage.name), progress[stage], named)]
    if recipe.lock is not None:
        moved += [*_of_files(recipe, progress, sources, store), *_of_images(recipe, sources)]
    return tuple(sorted(moved, key=lambda move: not move.same_version))


def _of_files(recipe: PlannedRecipe, progress: Progress, sources: Sources, store: Store) -> Iterator[Move]:
    """Yield the addresses from which another file came than the lock has."""
    assert recipe.lock is not None
    old, new = dict(recipe.lock.own.fetched), sources.fetched(recipe)
    steps = [(stage.name, step.action) for stage in recipe.stages for step in progress[stage].plan.steps]
    stages = {action.url: name for name, action in steps if isinstance(action, FetchFile)}
    # What a dry run did not come to is still asked for.
    for url in sorted(new.keys() | (old.keys() - stages.keys())):
        was, now = old.get(url, ""), new.get(url, "")
        if was == now:
            continue
        alike, same = bool(was and now), SAME_ADDRESS
        if url.startswith("git+"):
            from envbuild.build.commits import commit_of  # few recipes fetch any
            from envbuild.git.remote import TAG

            was, now = (commit_of(store, recipe.lock, url, digest) or digest for digest in (was, now))
            # A branch is there to move; a tag, or one commit with other files, is not.
            same = SAME_TAG if sources.ref_kinds.get(url) == TAG else SAME_ADDRESS
            alike &= same == SAME_TAG or was == now
        redirected = sources.redirects.get(url, "")
        said = (same if alike else "", f"redirected to {redirected}" if redirected else "")
        why = "; ".join(filter(None, said))
        name = recipe.recipe.name
        yield Move(name, stages.get(url, ""), FETCH, without_user(url), was[:DIGITS], now[:DIGITS], why, alike)


def _of_images(recipe: PlannedRecipe, sources: Sources) -> Iterator[Move]:
    """Yield the references that mean another image than the lock has."""
    assert recipe.lock is not None
    old, new = dict(recipe.lock.own.images), sources.images(recipe)
    for reference in sorted(new):
        was, now = old.get(reference, ""), new[reference]
        if was != now:
            yield Move(recipe.recipe.name, "", IMAGE, reference, was[:DIGITS], now[:DIGITS])


def _of_stage(before: LockedStage | None, at: StageProgress, named: frozenset[str]) -> Iterator[Move]:
    name, stage = at.stage.recipe_name, at.stage
    old = _by_name(before.installs if before is not None else ())
    new: dict[tuple[str, str], Package] = {}
    whys: dict[tuple[str, str], list[str]] = {}
    other_image = before is not None and is_other_image(before, at.base.origin)
    if before is not None and not before.follows and (before.digest != at.base.tree or other_image):
        digests = before.digest[:DIGITS], at.base.tree[:DIGITS]
        why, alike = base_change(before, at.base.origin, at.base.packages)
        yield Move(name, stage.name, "base", stage.base_text, *digests, why, alike)
        if before.packages.all and at.base.packages.all:
            old |= {("base", package.name): package for package in before.packages.all}
            new |= {("base", package.name): package for package in at.base.packages.all}
    for number, answer in at.answers.items():
        action = at.plan.steps[number].action
        assert isinstance(action, InstallPackages)
        reasons = dict(answer.reasons)
        for package in answer.packages:
            key = action.manager, package.name
            new[key] = package
            place = elsewhere(action.manager, package, at.plan.steps[number].text)
            whys[key] = [_reason(package, reasons.get(package.name, ""), named), place]
    for key in sorted(old.keys() | new.keys()):
        was, now = old.get(key), new.get(key)
        if was is not None and now is not None and was.hash == now.hash:
            continue
        alike = was is not None and now is not None and was.version == now.version
        first = [SAME_VERSION] if alike else ["nothing needs it any more"] if now is None and named else []
        why = "; ".join(text for text in (*first, *whys.get(key, [])) if text)
        old_version, new_version = (package.version if package is not None else "" for package in (was, now))
        yield Move(name, stage.name, *key, old_version, new_version, why, alike)


def _reason(package: Package, needed: str, named: frozenset[str]) -> str:
    """Return why a package moved in an update of those that are `named`, "" where all were to be renewed."""
    if not named:
        return ""
    if plain_name(package.name) in named:
        return "named"
    return "the base has it" if package.origin.startswith(INSTALLED) else needed


def refuse_unknown(recipe: PlannedRecipe, names: tuple[str, ...]) -> None:
    """Raise NotLocked for names of packages that a recipe's lock doesn't have."""
    stages = recipe.lock.stages if recipe.lock is not None else ()
    known = {plain_name(package.name) for stage in stages for install in stage.installs for package in install.packages}
    for name in names:
        if name not in known:
            base = next((stage.base for stage in stages if name in _base_names(stage)), "")
            if base:
                raise NotLocked(name, recipe.lock_path, "", base)
            raise NotLocked(name, recipe.lock_path, nearest(name, known) or "")


def _base_names(stage: LockedStage) -> set[str]:
    return {plain_name(package.name) for package in stage.packages.all}


def _by_name(installs: tuple[LockedInstall, ...]) -> dict[tuple[str, str], Package]:
    return {(install.manager, package.name): package for install in installs for package in install.packages}
