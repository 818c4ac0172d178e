"""Which differences require each other, from what packages say that they need.

A candidate has each changed package either as it was or as it is. What a package needs in one of these states may be
there in both states of another package, or only in the one of its own environment; then the second has to move along.
So each need becomes a requirement between two differences, and a set that keeps all of them is a sound environment, as
far as the packages say.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence

from envbuild.record import Record

MAX_OF_NAME = 200
"""Packages that have one name; of more than that it says nothing who needs or refuses it."""
OLD, NEW = 0, 1
"""The states of a difference: not chosen, and chosen."""
Fits = Callable[[str], bool]
"""Tells whether a version is one that is meant."""


class Wanted(Record):
    """A package by its name, in a version that fits."""

    name: str
    fits: Fits


class State(Record):
    """What a package says of itself in one state: the names that it has (its own, and what it provides) with their
    versions, `needs` of which one alternative each has to be there, and what it does not go together with."""

    names: tuple[tuple[str, str], ...]
    needs: tuple[tuple[Wanted, ...], ...] = ()
    refuses: tuple[Wanted, ...] = ()


ABSENT = State(())
States = tuple[State, State]
"""A package in the good environment, and in the bad one."""


def requirements(changed: Mapping[int, Sequence[States]], unchanged: Iterable[State]) -> dict[int, set[int]]:
    """Return which differences each difference requires, by numbers. `changed` are the packages that each moves,
    `unchanged` those that are the same in all candidates."""
    fixed: dict[str, list[str]] = {}
    for state in unchanged:
        for name, version in state.names:
            fixed.setdefault(name, []).append(version)
    moving: dict[str, list[tuple[int, int, str]]] = {}
    for number, packages in changed.items():
        for states in packages:
            for side, state in enumerate(states):
                for name, version in state.names:
                    moving.setdefault(name, []).append((number, side, version))
    required: dict[int, set[int]] = {}

    def imply(number: int, side: int, other: int) -> None:
        """In this state a difference needs the other in the same one."""
        if number != other:
            needs, needed = (number, other) if side == NEW else (other, number)
            required.setdefault(needs, set()).add(needed)

    for number, packages in changed.items():
        for states in packages:
            for side, state in enumerate(states):
                for alternatives in state.needs:
                    other = _only_in(side, alternatives, fixed, moving)
                    if other is not None:
                        imply(number, side, other)
                for wanted in state.refuses:
                    for other, there, version in moving.get(wanted.name, ())[:MAX_OF_NAME]:
                        if there != side and wanted.fits(version):
                            imply(number, side, other)
    return required


def _only_in(
    side: int,
    alternatives: Iterable[Wanted],
    fixed: Mapping[str, Sequence[str]],
    moving: Mapping[str, Sequence[tuple[int, int, str]]],
) -> int | None:
    """Return the difference that satisfies a need in this state alone; None if the need is satisfied in both, by
    nothing, or by several differences."""
    satisfied: set[tuple[int, int]] = set()
    for wanted in alternatives:
        if any(map(wanted.fits, fixed.get(wanted.name, ())[:MAX_OF_NAME])):
            return None
        known = moving.get(wanted.name, ())[:MAX_OF_NAME]
        satisfied |= {(other, there) for other, there, version in known if wanted.fits(version)}
    others = {other for other, there in satisfied if there == side}
    if len(others) != 1:
        return None
    (other,) = others
    return None if (other, 1 - side) in satisfied else other
