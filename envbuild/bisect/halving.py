"""A search for the first bad of a row of states, each made from the one before: commits, or moves of a tag."""

from __future__ import annotations

from collections.abc import Callable

from envbuild.bisect.verdict import BAD, GOOD, Verdict
from envbuild.record import Record


class FirstBad(Record):
    """The last state that is known to be good and the first that is known to be bad, by their numbers. Those between
    them could not be tried (`skipped`)."""

    good: int
    bad: int
    skipped: tuple[int, ...] = ()


def first_bad(count: int, verdict: Callable[[int], Verdict]) -> FirstBad:
    """Return where a row of `count` states turns bad; the first is good, the last is bad.

    As many are tried as the logarithm says, and more where one in the middle can't be told: then its neighbours are.
    """
    good, bad = 0, count - 1
    unknown: set[int] = set()
    while True:
        left = [number for number in range(good + 1, bad) if number not in unknown]
        if not left:
            return FirstBad(good, bad, tuple(range(good + 1, bad)))
        middle = min(left, key=lambda number: (abs(2 * number - good - bad), number))
        answer = verdict(middle)
        if answer == GOOD:
            good = middle
        elif answer == BAD:
            bad = middle
        else:
            unknown.add(middle)
