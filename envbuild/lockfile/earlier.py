"""Locks of version 1 and 2: read as what they pin and what their steps gave, and written by the next build as locks are
now."""

from __future__ import annotations

from envbuild.lockfile.lock import (
    COMPATIBILITY,
    BasePackages,
    Earlier,
    Lock,
    LockedInstall,
    LockedStage,
    Section,
    check_hashes,
)
from envbuild.lockfile.lock_fields import (
    digest_of,
    number_of,
    packages_from_plain,
    packages_of,
    pairs_of,
    released_of,
)
from envbuild.lockfile.results import LockedImage, Results

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any


def from_earlier(plain: dict[str, Any], architecture: str) -> Lock:
    """Return the lock that YAML of version 1 or 2 means; these did not say for which architecture they are, and were
    used on one. Raises KeyError, TypeError, AttributeError and ValueError for what is none."""
    stages = [_stage(stage) for stage in plain["stages"] or ()]
    steps: dict[str, tuple[str, ...]] = {}
    for stage in plain["stages"] or ():
        for step in stage["steps"] or ():
            key, tree = digest_of(step["key"]), digest_of(step["tree"])
            if key and tree:
                steps[key] = (*steps.get(key, ()), *((tree,) if tree not in steps.get(key, ()) else ()))
    image, tree, size = digest_of(plain["image"]), digest_of(plain["tree"]), number_of(plain["size"] or 0)
    number_of(plain["epoch"] or 0)
    images = (LockedImage(image, tree, size),) if image and tree else ()
    is_first = plain["version"] == "1" and any(stage["steps"] for stage in plain["stages"] or ())
    section = Section(
        architecture,
        tuple(stages),
        pairs_of(plain.get("fetched"), digests=True),
        pairs_of(plain.get("images"), digests=True),
        Results(steps, {}, images),
    )
    return Lock(
        recipe=str(plain["recipe"]),
        own=section,
        parameters=pairs_of(plain.get("parameters"), digests=False),
        # What version 1 pins holds. Of its steps, those that give files times have other keys by now.
        compatibility=0 if is_first else COMPATIBILITY,
        version=number_of(plain["version"]),
    )


def _stage(plain: dict[str, Any]) -> LockedStage:
    digest = digest_of(plain["digest"])
    epoch = number_of(plain["epoch"])
    installs = []
    parent = digest
    for step in plain["steps"] or ():
        text = str(step["step"])
        if not text.strip():
            raise ValueError("a step has no text")
        key, tree = digest_of(step["key"]), digest_of(step["tree"])
        packages = packages_of(step.get("packages") or ())
        asks, sees = digest_of(step.get("asks")), digest_of(step.get("sees"))
        if asks or packages:
            manager = text.split(maxsplit=1)[0].partition("(")[0]
            check_hashes(manager, packages)
            installs.append(LockedInstall(manager, (), "", packages, Earlier(asks, sees, key, parent, epoch)))
        parent = tree
    stage = LockedStage(
        name=str(plain["stage"]),
        base=str(plain["base"]),
        digest=digest,
        origin=str(plain["origin"]),
        epoch=epoch,
        installs=tuple(installs),
        packages=packages_from_plain(plain),
        released=released_of(plain.get("released") or 0),
    )
    if stage.follows:
        return stage.replace(digest="", epoch=0)
    return stage if digest else stage.replace(packages=BasePackages(), released=0)
