"""The merge of two locks that began as one: what git calls for locks when it merges branches (gitattributes(5)).

Packages are merged one by one: a version that one side moved is taken, one that both sides moved to different versions
is a conflict. What follows from the rest (keys, trees, the image) is unknown where both sides changed it; the next
build fills it in.
"""

from __future__ import annotations

import difflib
from collections.abc import Sequence

from envbuild.lockfile import lock_file
from envbuild.lockfile.lock import Lock, LockedStage, LockedStep, Package
from envbuild.record import Pairs, Record, values

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import TypeVar

    Value = TypeVar("Value")

_OURS, _THEIRS = "<<<<<<< ours", ">>>>>>> theirs"

Named = tuple[str, str, bool]
"""A package in a stage: manager, name, and whether only builds need it."""


class Conflict(Record):
    """A package that both sides moved, to different versions."""

    stage: str
    ours: Package
    theirs: Package


class Merged(Record):
    """The merged lock; of the packages in `conflicts` it has our side's line."""

    lock: Lock
    conflicts: tuple[Conflict, ...]


def merge(base: Lock | None, ours: Lock, theirs: Lock) -> Merged:
    """Return the lock that has what either side changed since `base` (None where they began apart)."""
    conflicts: list[Conflict] = []
    stages = [
        _stage(_named(base, name), _named(ours, name), _named(theirs, name), conflicts)
        for name in _order(
            [stage.name for stage in base.stages] if base is not None else [],
            [stage.name for stage in ours.stages],
            [stage.name for stage in theirs.stages],
        )
    ]
    known = base if base is not None else ours.replace(image="", tree="", size=0)
    lock = Lock(
        recipe=ours.recipe,
        image=_choose(known.image, ours.image, theirs.image, ""),
        tree=_choose(known.tree, ours.tree, theirs.tree, ""),
        size=_choose(known.size, ours.size, theirs.size, 0),
        epoch=_choose(known.epoch, ours.epoch, theirs.epoch, max(ours.epoch, theirs.epoch)),
        stages=tuple(stages),
        parameters=_pairs(base.parameters if base is not None else (), ours.parameters, theirs.parameters),
        fetched=_pairs(base.fetched if base is not None else (), ours.fetched, theirs.fetched),
        images=_pairs(base.images if base is not None else (), ours.images, theirs.images),
        version=min(ours.version, theirs.version),
    )
    return Merged(lock, tuple(conflicts))


def dump(merged: Merged) -> str:
    """Return the text of the merged lock; both lines of a conflict stand between git's markers."""
    lines = lock_file.dump(merged.lock).splitlines()
    for conflict in merged.conflicts:
        ours, theirs = lock_file.package_line(conflict.ours), lock_file.package_line(conflict.theirs)
        at = lines.index(ours)
        lines[at : at + 1] = [_OURS, ours, "=======", theirs, _THEIRS]
    return "\n".join(lines) + "\n"


def _choose(base: Value, ours: Value, theirs: Value, both: Value) -> Value:
    """Return the side that changed; `both` if both did, and differently."""
    if ours == theirs or theirs == base:
        return ours
    return theirs if ours == base else both


def _named(lock: Lock | None, name: str) -> LockedStage | None:
    return next((stage for stage in lock.stages if stage.name == name), None) if lock is not None else None


def _stage(
    base: LockedStage | None, ours: LockedStage | None, theirs: LockedStage | None, conflicts: list[Conflict]
) -> LockedStage:
    if ours is None or theirs is None:
        found = ours or theirs or base
        assert found is not None
        return found
    origin = base or ours.replace(digest="", steps=())
    newer = ours if ours.epoch >= theirs.epoch else theirs
    foundation = _choose(_base(origin), _base(ours), _base(theirs), _base(newer))
    chosen = ours if foundation == _base(ours) else theirs
    decided = _packages(origin, ours, theirs, conflicts)
    texts = _order(*([step.text for step in stage.steps] for stage in (origin, ours, theirs)))
    before, left, right = _steps(origin), _steps(ours), _steps(theirs)
    seen: dict[str, int] = {}
    steps = []
    for text in texts:
        number = seen[text] = seen.get(text, -1) + 1
        key = (text, number)
        steps.append(_step(before.get(key), left.get(key), right.get(key), decided))
    return chosen.replace(steps=tuple(steps))


def _base(stage: LockedStage) -> tuple[str, str, str, int]:
    return stage.base, stage.digest, stage.origin, stage.epoch


def _steps(stage: LockedStage) -> dict[tuple[str, int], LockedStep]:
    """Return the steps by their text and their number among those of the same text."""
    found: dict[tuple[str, int], LockedStep] = {}
    for step in stage.steps:
        number = sum(1 for text, _ in found if text == step.text)
        found[step.text, number] = step
    return found


def _step(
    base: LockedStep | None, ours: LockedStep | None, theirs: LockedStep | None, decided: dict[Named, Package]
) -> LockedStep:
    found = ours or theirs
    assert found is not None
    manager = found.manager
    before, left, right = (
        {_name(manager, p) for p in step.packages} if step else set() for step in (base, ours, theirs)
    )
    alone = ours is None or theirs is None
    names = left | right if alone else (left & right) | (left - before) | (right - before)
    packages = tuple(sorted((decided[name] for name in names if name in decided), key=values))
    if ours is None or theirs is None:
        return found.replace(packages=packages)
    was = base or found.replace(key="", tree="", asks="", sees="")
    return LockedStep(
        found.text,
        _choose(was.key, ours.key, theirs.key, ""),
        _choose(was.tree, ours.tree, theirs.tree, ""),
        _choose(was.asks, ours.asks, theirs.asks, ""),
        packages,
        _choose(was.sees, ours.sees, theirs.sees, ""),
    )


def _names(manager: str, step: LockedStep | None) -> set[Named]:
    return {_name(manager, package) for package in step.packages} if step is not None else set()


def _packages(
    base: LockedStage, ours: LockedStage, theirs: LockedStage, conflicts: list[Conflict]
) -> dict[Named, Package]:
    """Return what each package of the stage comes to, whichever statement names it."""
    before, left, right = (_of_stage(stage) for stage in (base, ours, theirs))
    found: dict[Named, Package] = {}
    for name in sorted(left.keys() | right.keys()):
        was, ours_now, theirs_now = before.get(name), left.get(name), right.get(name)
        if ours_now is None or theirs_now is None:
            found[name] = ours_now or theirs_now or before[name]
        elif ours_now == theirs_now or theirs_now == was:
            found[name] = ours_now
        elif ours_now == was:
            found[name] = theirs_now
        else:
            found[name] = ours_now
            conflicts.append(Conflict(ours.name, ours_now, theirs_now))
    return found


def _of_stage(stage: LockedStage) -> dict[Named, Package]:
    return {_name(step.manager, package): package for step in stage.steps for package in step.packages}


def _name(manager: str, package: Package) -> Named:
    return manager, package.name, package.origin.startswith("build/")


def _pairs(base: Pairs, ours: Pairs, theirs: Pairs) -> Pairs:
    before, left, right = dict(base), dict(ours), dict(theirs)
    found = {}
    for name in left.keys() | right.keys():
        value = _choose(before.get(name), left.get(name), right.get(name), left.get(name))
        if value is not None:
            found[name] = value
    return tuple(sorted(found.items()))


def _order(base: Sequence[str], ours: Sequence[str], theirs: Sequence[str]) -> list[str]:
    """Our lines without what they removed, and with what they added behind the line that it stands behind there."""
    result = list(ours)
    for kind, start, stop, first, last in reversed(
        difflib.SequenceMatcher(None, base, theirs, autojunk=False).get_opcodes()
    ):
        if kind == "equal":
            continue
        for text in base[start:stop]:
            if text in result:
                result.remove(text)
        added = [text for text in theirs[first:last] if result.count(text) < theirs.count(text)]
        before = next((text for text in reversed(theirs[:first]) if text in result), None)
        at = result.index(before) + 1 if before is not None else 0
        result[at:at] = added
    return result
