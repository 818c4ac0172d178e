"""The nearest of several names, for "did you mean"."""

from __future__ import annotations

from collections.abc import Iterable

MAX_NAME = 100
"""Letters of a name that is compared."""


def nearest(name: str, known: Iterable[str]) -> str | None:
    """Return the known name with the fewest typos from `name`; None if none is near.

    A typo is a letter left out, added, replaced, or swapped with its neighbour. A third of the name may be wrong, at
    least one letter and at most three. Of equal distances, the first in alphabetical order wins.
    """
    if len(name) > MAX_NAME:
        return None
    allowed = min(3, max(1, len(name) // 3))
    ranked = sorted((distance(name.lower(), candidate.lower()), candidate) for candidate in set(known))
    if ranked and ranked[0][0] <= allowed and ranked[0][0] < len(name):
        return ranked[0][1]
    return None


def did_you_mean(name: str, known: Iterable[str], otherwise: str = "") -> str:
    """Return a hint with the nearest name; `otherwise` if none is near."""
    near = nearest(name, known)
    return f"did you mean '{near}'?" if near else otherwise


def distance(a: str, b: str) -> int:
    """Return the number of typos between two names (optimal string alignment distance)."""
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
    return row[-1]
