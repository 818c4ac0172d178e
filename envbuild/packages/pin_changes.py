"""What a reader of two locks must not miss: content that changed although no version did, bases, and sources that are
not those of this machine."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping

from envbuild.debian.apt_sources import machine_sources
from envbuild.http.addresses import addresses_in, without_user
from envbuild.lockfile.lock import TAGGED, BasePackages, Lock, LockedStage, Package, Section, commit_id
from envbuild.packages.manager import BUILD, INSTALLED
from envbuild.record import Record

SAME_VERSION = "same version, other content"
SAME_ADDRESS = "same address, other content"
SAME_TAG = "same tag, other commit"
NO_PACKAGE_MOVED = "no package moved, other content"
CONTENT, SOURCE, BASE, ELSEWHERE = "content", "source", "base", "elsewhere"
DIGITS = 12
"""Digits of a digest that people see."""
REGISTRY = "registry:"
"""How the bases begin that are images of registries."""
_DIGEST = re.compile(r"sha256:[0-9a-f]{64}")
BASE_MANAGER = "base"
"""What stands for a manager with bases and their packages."""


class PinChange(Record):
    """One such change. `kind` is one of the four words above, `text` says it; `old` and `new` are the hashes, digests
    or places. What is `alarming` has no version or date by which anybody could see it."""

    kind: str
    stage: str
    manager: str
    name: str
    version: str
    old: str
    new: str
    text: str
    alarming: bool = False


def pin_changes(old: Lock | None, new: Lock) -> list[PinChange]:
    """Return what a reader must not miss between two locks, what is alarming first. Without an `old` one it is what
    comes from elsewhere."""
    known = {section.architecture: section for section in (old.own, *old.others)} if old is not None else {}
    all_changes: list[PinChange] = []
    for section in (new.own, *new.others):
        changes = _in_section(known.get(section.architecture), section)
        if section is not new.own:
            where = f" on {section.architecture}"
            changes = (change.replace(text=f"{change.text}{where}") for change in changes)
        all_changes += changes
    return sorted(all_changes, key=lambda change: not change.alarming)


def _in_section(old: Section | None, new: Section) -> Iterator[PinChange]:
    before = {stage.name: stage for stage in old.stages} if old is not None else {}
    for stage in new.stages:
        yield from _in_stage(before.get(stage.name), stage)
    if old is not None:
        commits = dict(old.commits), dict(new.commits)
        yield from _commits(*commits)
        moved = {url for url in commits[0].keys() & commits[1].keys() if commits[0][url] != commits[1][url]}
        files = [{url: digest for url, digest in side.fetched if url not in moved} for side in (old, new)]
        yield from _named(files[0], files[1], "fetch", SAME_ADDRESS, alarming=True)
        yield from _named(dict(old.images), dict(new.images), "image", "another image", alarming=False)


def base_change(before: LockedStage, origin: str, packages: BasePackages) -> tuple[str, bool]:
    """Return what is behind another digest of a base: where it is from, and how many packages moved; and whether its
    content is another one although nothing else is."""
    said = [f"{_shown(before.origin)} -> {_shown(origin)}"] if before.origin != origin else []
    if not (before.packages.all and packages.all):
        return "; ".join(said), False
    old = {package.name: package for package in before.packages.all}
    new = {package.name: package for package in packages.all}
    moved = sum(_differs(old.get(name), new.get(name)) for name in old.keys() | new.keys())
    if not moved:
        return "; ".join([*said, NO_PACKAGE_MOVED]), True
    return "; ".join([*said, f"{moved} package{'s' if moved != 1 else ''} moved"]), False


def is_other_image(before: LockedStage, origin: str) -> bool:
    """Return whether a base of a registry is another image, be it of the same files."""
    return before.base.startswith(REGISTRY) and before.origin.partition(" of ")[0] != origin.partition(" of ")[0]


def _shown(origin: str) -> str:
    return _DIGEST.sub(lambda match: match[0][: len("sha256:") + DIGITS], origin)


def elsewhere(manager: str, package: Package, statement: str) -> str:
    """Return where a package comes from, if that is not an index or mirror of this machine; "" if it is. `statement` is
    the text of the one that asks for it, or what of it names sources."""
    origin = _place(package)
    if "://" in origin:
        return f"from {without_user(origin)}, not this machine's index"
    if manager not in ("apt", "aptsource"):
        return ""
    site = origin.partition("/")[0]
    ours = {source.uri.rstrip("/") for source in machine_sources()}
    named = [address.rstrip("/") for address in addresses_in([statement])]
    for address in named:
        if address.rpartition("/")[2] == site and address not in ours:
            return f"from {without_user(address)}, not this machine's mirror"
    if ours and not any(address.rpartition("/")[2] == site for address in ours):
        return f"from a source that ends in /{site}, which is none of this machine's"
    return ""


def _in_stage(before: LockedStage | None, stage: LockedStage) -> Iterator[PinChange]:
    old: dict[tuple[str, str, bool], Package] = {}
    if before is not None:
        yield from _base(before, stage)
        old = {key: package for key, package, _ in _packages(before)}
    for (manager, name, build), package, statement in _packages(stage):
        was = old.get((manager, name, build))
        if was is not None and was.version == package.version:
            yield from _same_version(stage, manager, was, package)
        if manager != BASE_MANAGER and _differs(was, package):
            place = elsewhere(manager, package, statement)
            if place:
                text = f"{manager} {name} {package.version}: {place}"
                origin = _place(package)
                yield PinChange(ELSEWHERE, stage.name, manager, name, package.version, "", origin, text)


def _base(before: LockedStage, stage: LockedStage) -> Iterator[PinChange]:
    same = before.digest == stage.digest and not is_other_image(before, stage.origin)
    if before.base != stage.base or same or not (before.digest and stage.digest):
        return  # another base is a change of the recipe, and of a merged lock nobody knows
    why, alarming = base_change(before, stage.origin, stage.packages)
    text = f"base {stage.base} of stage {stage.name}: {before.digest[:DIGITS]} -> {stage.digest[:DIGITS]}"
    text += f" ({why or stage.origin})"
    yield PinChange(BASE, stage.name, BASE_MANAGER, stage.base, "", before.digest, stage.digest, text, alarming)


def _same_version(stage: LockedStage, manager: str, was: Package, now: Package) -> Iterator[PinChange]:
    places = _place(was), _place(now)
    moved = f"{places[0]} -> {places[1]}"
    what = f"{manager} {now.name} {now.version}"
    if was.hash != now.hash:
        hashes = f"{_short(was.hash)} -> {_short(now.hash)}"
        source = f", from {moved}" if places[0] != places[1] else ""
        text = f"{SAME_VERSION}: {what} ({hashes}{source})"
        yield PinChange(CONTENT, stage.name, manager, now.name, now.version, was.hash, now.hash, text, True)
    elif places[0] != places[1]:
        text = f"same file, other source: {what} ({moved})"
        yield PinChange(SOURCE, stage.name, manager, now.name, now.version, *places, text, True)


def _commits(old: Mapping[str, str], new: Mapping[str, str]) -> Iterator[PinChange]:
    """Yield the branches and tags that mean another commit. A branch is there to move, a tag is not."""
    for url in sorted(old.keys() & new.keys()):
        was, now = commit_id(old[url]), commit_id(new[url])
        if was != now:
            alarming = new[url].startswith(TAGGED)
            words = SAME_TAG if alarming else "another commit"
            text = f"{words}: fetch {url} ({was[:DIGITS]} -> {now[:DIGITS]})"
            yield PinChange(CONTENT if alarming else BASE, "", "fetch", url, "", was, now, text, alarming)


def _named(
    old: Mapping[str, str], new: Mapping[str, str], manager: str, words: str, *, alarming: bool
) -> Iterator[PinChange]:
    """Yield what is fetched from the same address or called by the same reference, and is something else."""
    for name in sorted(old.keys() & new.keys()):
        if old[name] != new[name]:
            text = f"{words}: {manager} {name} ({old[name][:DIGITS]} -> {new[name][:DIGITS]})"
            yield PinChange(CONTENT if alarming else BASE, "", manager, name, "", old[name], new[name], text, alarming)


def _packages(stage: LockedStage) -> Iterator[tuple[tuple[str, str, bool], Package, str]]:
    """Yield the packages of a stage, each with what tells it from others and the sources of its statement."""
    for package in stage.packages.all:
        yield (BASE_MANAGER, package.name, False), package, ""
    for install in stage.installs:
        for package in install.packages:
            yield (install.manager, package.name, package.origin.startswith(BUILD)), package, "\n".join(install.sources)


def _differs(package: Package | None, other: Package | None) -> bool:
    if package is None or other is None:
        return package is not other
    return (package.version, package.hash, _place(package)) != (other.version, other.hash, _place(other))


def _place(package: Package) -> str:
    return package.origin.removeprefix(BUILD).removeprefix(INSTALLED)


def _short(hash: str) -> str:
    algorithm, _, digits = hash.partition(":")
    return f"{algorithm}:{digits[:DIGITS]}"
