"""The merge of two locks that began as one: what git calls for locks when it merges branches (gitattributes(5)).

Packages are merged one by one: a version that one side moved is taken, one that both sides moved to different versions
is a conflict. What statements want is merged word by word. Each result stands for itself: those that either side added
are kept, those that either removed are not.
"""

from __future__ import annotations

import difflib
from collections.abc import Sequence

from envbuild.lockfile import lock_file
from envbuild.lockfile.lock import Lock, LockedInstall, LockedStage, Package, Section
from envbuild.lockfile.results import NO_RESULTS, Results, lines_of, results_of
from envbuild.record import Pairs, Record, values

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator
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


class Doubt(Record):
    """Two Debian packages of one source that had the same version where `other` was pinned, and no longer have: they
    may not go together."""

    stage: str
    moved: Package
    other: Package


class Merged(Record):
    """The merged lock; of the packages in `conflicts` it has our side's line."""

    lock: Lock
    conflicts: tuple[Conflict, ...]
    doubts: tuple[Doubt, ...] = ()


def merge(base: Lock | None, ours: Lock, theirs: Lock) -> Merged:
    """Return the lock that has what either side changed since `base` (None where they began apart)."""
    conflicts: list[Conflict] = []
    sides = [_sections(lock) for lock in (base, ours, theirs)]
    merged = {
        name: _section(sides[0].get(name), sides[1].get(name), sides[2].get(name), conflicts)
        for name in sorted(sides[1].keys() | sides[2].keys())
        if name in sides[1] or name not in sides[0]
    }
    known = base if base is not None else ours
    lock = Lock(
        recipe=ours.recipe,
        own=merged.pop(ours.own.architecture, ours.own),
        parameters=_pairs(base.parameters if base is not None else (), ours.parameters, theirs.parameters),
        others=tuple(merged.values()),
        cool_down=_choose(known.cool_down, ours.cool_down, theirs.cool_down, ours.cool_down),
        compatibility=min(ours.compatibility, theirs.compatibility),
    )
    stages = {stage.name: stage for stage in lock.stages}
    doubts = [
        doubt
        for side in (ours, theirs)
        for stage in side.stages
        if stage.name in stages
        for doubt in _doubts(stage, stages[stage.name])
    ]
    return Merged(lock, tuple(conflicts), tuple(dict.fromkeys(doubts)))


def _doubts(before: LockedStage, merged: LockedStage) -> Iterator[Doubt]:
    """Yield the packages of one source that went together on one side, and of which another side moved some."""
    was = {name: package for name, package in _of_stage(before).items() if name[0] == "apt"}
    now = _of_stage(merged)
    moved = [name for name in was if name in now and now[name].version != was[name].version]
    for name in moved:
        source = _source(was[name])
        for other, package in was.items():
            same = _source(package) == source and package.version == was[name].version
            if same and other not in moved and now.get(other) == package:
                yield Doubt(merged.name, now[name], package)


def _source(package: Package) -> str:
    """Return the folder of a Debian package, which those of one source share."""
    return package.origin.rpartition("/")[0]


def _sections(lock: Lock | None) -> dict[str, Section]:
    if lock is None:
        return {}
    return {section.architecture: section for section in (lock.own, *lock.others)}


def _section(base: Section | None, ours: Section | None, theirs: Section | None, conflicts: list[Conflict]) -> Section:
    if ours is None or theirs is None:
        section = ours or theirs
        assert section is not None
        return section
    before = base or Section(ours.architecture)
    names = _order(*([stage.name for stage in side.stages] for side in (before, ours, theirs)))
    return Section(
        ours.architecture,
        tuple(_stage(_named(before, name), _named(ours, name), _named(theirs, name), conflicts) for name in names),
        _pairs(before.fetched, ours.fetched, theirs.fetched),
        _pairs(before.images, ours.images, theirs.images),
        _results(before, ours, theirs),
        _pairs(before.commits, ours.commits, theirs.commits),
    )


def _results(base: Section, ours: Section, theirs: Section) -> Results:
    """Return the results that no side removed, and those that either added."""
    before, left, right = (set(lines_of(side.architecture, side.results)) for side in (base, ours, theirs))
    kept = (left & right) | (left - before) | (right - before)
    return results_of(sorted(kept)).get(ours.architecture, NO_RESULTS)


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


def _named(section: Section, name: str) -> LockedStage | None:
    return next((stage for stage in section.stages if stage.name == name), None)


def _stage(
    base: LockedStage | None, ours: LockedStage | None, theirs: LockedStage | None, conflicts: list[Conflict]
) -> LockedStage:
    if ours is None or theirs is None:
        stage = ours or theirs or base
        assert stage is not None
        return stage
    origin = base or ours.replace(digest="", installs=())
    newer = ours if ours.epoch >= theirs.epoch else theirs
    foundation = _choose(_base(origin), _base(ours), _base(theirs), _base(newer))
    chosen = ours if foundation == _base(ours) else theirs
    decided = _packages(origin, ours, theirs, conflicts)
    left, right = _alike(origin.installs, ours.installs), _alike(origin.installs, theirs.installs)
    # What both added alike is one statement; where they began apart, the managers' names have to do.
    new = [number for number in range(len(ours.installs)) if number not in left]
    their_new = [number for number in range(len(theirs.installs)) if number not in right]
    pairs = _alike([ours.installs[n] for n in new], [theirs.installs[n] for n in their_new], loosely=base is None)
    shared = {their_new[their]: new[our] for their, our in pairs.items()}
    our_names = [f"base {left[n]}" if n in left else f"ours {n}" for n in range(len(ours.installs))]
    their_names = [
        f"base {right[n]}" if n in right else f"ours {shared[n]}" if n in shared else f"theirs {n}"
        for n in range(len(theirs.installs))
    ]
    names = [f"base {n}" for n in range(len(origin.installs))]
    before = dict(zip(names, origin.installs, strict=True))
    of_ours, of_theirs = (
        dict(zip(our_names, ours.installs, strict=True)),
        dict(zip(their_names, theirs.installs, strict=True)),
    )
    installs = [
        _install(before.get(name), of_ours.get(name), of_theirs.get(name), decided)
        for name in _order(names, our_names, their_names)
    ]
    return chosen.replace(installs=tuple(installs))


def _alike(base: Sequence[LockedInstall], side: Sequence[LockedInstall], *, loosely: bool = False) -> dict[int, int]:
    """Return which statement of the base each of a side's is, by number: the first in order that has something in
    common with it, or `loosely` that is of the same manager."""
    originals: dict[int, int] = {}
    start = 0
    for number, install in enumerate(side):
        for old in range(start, len(base)):
            if _is_alike(base[old], install) or (loosely and base[old].manager == install.manager):
                originals[number] = old
                start = old + 1
                break
    return originals


def _is_alike(install: LockedInstall, other: LockedInstall) -> bool:
    if install.manager != other.manager:
        return False
    if install == other or set(install.wants) & set(other.wants):
        return True
    names = {package.name for package in install.packages} & {package.name for package in other.packages}
    return bool(names) or not (install.wants or other.wants)


def _base(stage: LockedStage) -> tuple[str, str, str, int]:
    return stage.base, stage.digest, stage.origin, stage.epoch


def _install(
    base: LockedInstall | None,
    ours: LockedInstall | None,
    theirs: LockedInstall | None,
    decided: dict[Named, Package],
) -> LockedInstall:
    install = ours or theirs
    assert install is not None
    before, left, right = (
        {_name(install.manager, p) for p in side.packages} if side else set() for side in (base, ours, theirs)
    )
    alone = ours is None or theirs is None
    names = left | right if alone else _kept(before, left, right)
    packages = tuple(sorted((decided[name] for name in names if name in decided), key=values))
    if ours is None or theirs is None:
        return install.replace(packages=packages)
    was = base or install.replace(asks="", wants=(), sources=())
    return LockedInstall(
        install.manager,
        tuple(sorted(_kept(set(was.wants), set(ours.wants), set(theirs.wants)))),
        _choose(was.asks, ours.asks, theirs.asks, ""),
        packages,
        _choose(was.earlier, ours.earlier, theirs.earlier, None),
        tuple(sorted(_kept(set(was.sources), set(ours.sources), set(theirs.sources)))),
    )


def _kept(before: set[Value], left: set[Value], right: set[Value]) -> set[Value]:
    """Return what both sides have, and what either added."""
    return (left & right) | (left - before) | (right - before)


def _packages(
    base: LockedStage, ours: LockedStage, theirs: LockedStage, conflicts: list[Conflict]
) -> dict[Named, Package]:
    """Return what each package of the stage comes to, whichever statement names it."""
    before, left, right = (_of_stage(stage) for stage in (base, ours, theirs))
    packages: dict[Named, Package] = {}
    for name in sorted(left.keys() | right.keys()):
        was, ours_now, theirs_now = before.get(name), left.get(name), right.get(name)
        if ours_now is None or theirs_now is None:
            packages[name] = ours_now or theirs_now or before[name]
        elif ours_now == theirs_now or theirs_now == was:
            packages[name] = ours_now
        elif ours_now == was:
            packages[name] = theirs_now
        else:
            packages[name] = ours_now
            conflicts.append(Conflict(ours.name, ours_now, theirs_now))
    return packages


def _of_stage(stage: LockedStage) -> dict[Named, Package]:
    return {_name(install.manager, package): package for install in stage.installs for package in install.packages}


def _name(manager: str, package: Package) -> Named:
    return manager, package.name, package.origin.startswith("build/")


def _pairs(base: Pairs, ours: Pairs, theirs: Pairs) -> Pairs:
    before, left, right = dict(base), dict(ours), dict(theirs)
    pairs = {}
    for name in left.keys() | right.keys():
        value = _choose(before.get(name), left.get(name), right.get(name), left.get(name))
        if value is not None:
            pairs[name] = value
    return tuple(sorted(pairs.items()))


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
