"""What holds between the stages of a recipe: each that is used is there, and before it is used."""

from __future__ import annotations

from envbuild.language.keywords import BASES
from envbuild.language.reader import Context
from envbuild.language.syntax import Span
from envbuild.record import Record
from envbuild.text.suggestion import did_you_mean, nearest


class Use(Record):
    """A name that may be a stage's: in stage number `stage`, as its base or as the origin of a copy."""

    name: str
    stage: int
    as_base: bool
    context: Context
    span: Span


def check_uses(uses: list[Use], names: list[str | None]) -> None:
    """Reports each use of a stage that isn't there or not yet. `names` are those of all stages, in order."""
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
            use.context.error(use.span, f"stage '{use.name}' needs itself", "a stage uses those above it")
        elif target > use.stage:
            way = _way(target, use.stage, needs)
            if way and names[use.stage]:
                circle = " -> ".join(names[number] or "" for number in [use.stage, *way])
                use.context.error(use.span, f"a circle of stages: {circle}", "a stage uses those above it")
            else:
                hint = "a stage is defined above those that use it"
                use.context.error(use.span, f"stage '{use.name}' is used before it is defined", hint)


def _way(start: int, end: int, needs: dict[int, set[int]]) -> list[int]:
    """The stages on a way along needs from start to end; none if there is no way."""
    ways = [[start]]
    seen = {start}
    for way in ways:
        for following in sorted(needs[way[-1]]):
            if following == end:
                return [*way, end]
            if following not in seen:
                seen.add(following)
                ways.append([*way, following])
    return []


def _unknown(use: Use, stages: list[str]) -> None:
    """A name that is no stage is wrong as a base. As an origin it is an image, unless a stage's name is near."""
    if use.as_base:
        if use.name in BASES:
            hint = f"as in: from {BASES[use.name]}"
            use.context.error(use.span, f"base '{use.name}' needs more after a colon", hint)
            return
        known = [*stages, "scratch", "host"]
        near = nearest(use.name, BASES)
        otherwise = f"did you mean '{BASES[near]}'?" if near else "an image of that name is written image:NAME"
        hint = did_you_mean(use.name, known, otherwise)
        use.context.error(use.span, f"unknown stage or base '{use.name}'", hint)
    elif ":" not in use.name and (near := nearest(use.name, stages)):
        hint = f"did you mean '{near}'? an image is written image:{use.name}"
        use.context.error(use.span, f"unknown stage '{use.name}'", hint)
