"""The name that was probably meant: "did you mean"."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable


MAX_LETTERS = 100
"""Longer names are not compared."""


def nearest(name: str, known: Iterable[str]) -> str | None:
    """Return the known name that takes the fewest slips of the hand to become `name`; None if none is near.

    A slip is a letter left out, put in, exchanged, or swapped with its neighbour. A third of the name may be
    wrong, at least one letter and at most three. Equal distances go to the first in alphabetical order.
    """
    if len(name) > MAX_LETTERS:
        return None
    allowed = min(3, max(1, len(name) // 3))
    similar = {candidate for candidate in known if abs(len(candidate) - len(name)) <= allowed}
    ranked = sorted((slips(name.lower(), candidate.lower(), allowed), candidate) for candidate in similar)
    if ranked and ranked[0][0] <= allowed and ranked[0][0] < len(name):
        return ranked[0][1]
    return None


def did_you_mean(name: str, known: Iterable[str], otherwise: str = "") -> str:
    """Return a hint that names the nearest; `otherwise` if none is near."""
    near = nearest(name, known)
    return f"did you mean '{near}'?" if near else otherwise


def slips(a: str, b: str, limit: int = MAX_LETTERS) -> int:
    """Return the distance of two names, with a swap of neighbours counted as one (optimal string alignment).

    If it is more than `limit`, the result is some number above `limit`.
    """
    before: list[int] = []
    row = list(range(len(b) + 1))
    for i, left in enumerate(a, 1):
        following = [i]
        for j, right in enumerate(b, 1):
            cost = min(row[j] + 1, following[j - 1] + 1, row[j - 1] + (left != right))
            if i > 1 and j > 1 and left == b[j - 2] and a[i - 2] == right:
                cost = min(cost, before[j - 2] + 1)
            following.append(cost)
        before, row = row, following
        if min(row) > limit and min(before) > limit:
            return limit + 1
    return row[-1]
