"""The uses of stages by other stages: each used stage must exist, and be defined before it is used."""

from __future__ import annotations

from envbuild.language.keywords import BASES
from envbuild.language.reader import Reader
from envbuild.language.syntax import Span
from envbuild.record import Record
from envbuild.text.docker_words import hint_for_base
from envbuild.text.suggestion import did_you_mean, nearest


class Use(Record):
    """A name that may be a stage's, used by stage number `stage` as its base or as the origin of a copy."""

    name: str
    stage: int
    as_base: bool
    reader: Reader
    span: Span


def check_uses(uses: list[Use], names: list[str | None]) -> None:
    """Report each use of a stage that does not exist, or not yet. `names` are the names of all stages, in order."""
    numbers = {name: number for number, name in enumerate(names) if name is not None}
    needs: dict[int, set[int]] = {number: set() for number in range(len(names))}
    for use in uses:
        if use.name in numbers:
            needs[use.stage].add(numbers[use.name])
    for use in uses:
        target = numbers.get(use.name)
        if target is None:
            _unknown(use, [name for name in numbers if numbers[name] < use.stage])
        elif target == use.stage:
            use.reader.error(use.span, f"stage '{use.name}' needs itself", "a stage can only use stages above it")
        elif target > use.stage:
            path = _path(target, use.stage, needs)
            if path and names[use.stage]:
                cycle = " -> ".join(names[number] or "" for number in [use.stage, *path])
                use.reader.error(use.span, f"the stages form a cycle: {cycle}", "a stage can only use stages above it")
            else:
                hint = "define a stage above those that use it"
                use.reader.error(use.span, f"stage '{use.name}' is used before it is defined", hint)


def _path(start: int, end: int, needs: dict[int, set[int]]) -> list[int]:
    """Return the stages on a path along needs from start to end; none if there is no path."""
    paths = [[start]]
    seen = {start}
    for path in paths:
        for following in sorted(needs[path[-1]]):
            if following == end:
                return [*path, end]
            if following not in seen:
                seen.add(following)
                paths.append([*path, following])
    return []


def _unknown(use: Use, stages: list[str]) -> None:
    """Report a name that is not a stage: always as a base, as an origin only if it is close to a stage's name, since it
    may be an image."""
    if use.as_base:
        if use.name in BASES:
            hint = f"as in: from {BASES[use.name]}"
            use.reader.error(use.span, f"base '{use.name}' needs more after a colon", hint)
            return
        hint = hint_for_base(use.name)
        if hint:
            use.reader.error(use.span, f"unknown stage or base '{use.name}'", hint)
            return
        known = [*stages, "scratch", "host"]
        near = nearest(use.name, BASES)
        otherwise = f"did you mean '{BASES[near]}'?" if near else "an image of that name is written image:NAME"
        hint = did_you_mean(use.name, known, otherwise)
        use.reader.error(use.span, f"unknown stage or base '{use.name}'", hint)
    elif ":" not in use.name and (near := nearest(use.name, stages)):
        hint = f"did you mean '{near}'? an image is written image:{use.name}"
        use.reader.error(use.span, f"unknown stage '{use.name}'", hint)
