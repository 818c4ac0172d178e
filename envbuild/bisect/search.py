"""The search for a smallest set of differences that breaks a test, as functions from sets to sets.

First a binary search: what comes last of the shortest beginning of all differences that breaks the test belongs to the
set, and so on with what is known of it. This takes as many trials as the logarithm says for each member, if the test is
monotone. It needs not be: a set may break the test and a larger one not, or be unresolved. So ddmin (Zeller and
Hildebrandt, "Simplifying and isolating failure-inducing input") goes over the result, which then is 1-minimal: without
any one of its members it is not known to break the test.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from itertools import pairwise

from envbuild.bisect.order import clusters_of

Item = int
"""A difference, by its number."""
Items = frozenset[Item]
FirstBad = Callable[[Sequence[Items]], "int | None"]
"""Tries sets, the first ones first, and returns the place of the first that breaks the test, None if none does."""
Requirements = Mapping[Item, Collection[Item]]
"""What a difference needs: the others without which it does not make a sound tree."""


def minimize(items: Iterable[Item], first_bad: FirstBad, requires: Requirements, *, width: int = 1) -> Items:
    """Return a 1-minimal set of `items` that breaks the test. All of them do; the empty set does not.

    `width` sets are offered at a time, for trials in parallel. Sets that lack what their members require are offered
    only when few items are left, and then last.
    """
    clusters = clusters_of(items, requires)
    known: Items = frozenset()
    while clusters and (not known or first_bad([known]) is None):
        count = _shortest_bad(known, clusters, first_bad, width)
        known |= _with_required(clusters[count - 1], requires, known.union(*clusters[:count]))
        clusters = clusters[: count - 1]
    # Mostly it is minimal by now: this is known after one trial for each member.
    rests = sorted((known - {item} for item in sorted(known)), key=lambda rest: lacks_required(rest, requires))
    bad = first_bad(rests) if len(known) > 1 else None
    return known if bad is None else ddmin(rests[bad], first_bad, requires)


def ddmin(items: Collection[Item], first_bad: FirstBad, requires: Requirements) -> Items:
    """Return a 1-minimal subset of `items`, which break the test."""
    current = [item for cluster in clusters_of(items, requires) for item in cluster]
    parts = 2
    while len(current) > 1:
        parts = min(parts, len(current))
        chunks = [frozenset(chunk) for chunk in _split(current, parts)]
        rests = [frozenset(current) - chunk for chunk in chunks] if parts > 2 else []
        # Sorting keeps the order of the sets that are alike in this.
        sets = sorted((*chunks, *rests), key=lambda chosen: lacks_required(chosen, requires))
        bad = first_bad(sets)
        if bad is not None:
            current = [item for item in current if item in sets[bad]]
            parts = 2 if sets[bad] in chunks else max(parts - 1, 2)
        elif parts == len(current):
            break
        else:
            parts *= 2
    return frozenset(current)


def lacks_required(chosen: Items, requires: Requirements) -> bool:
    """Return whether a set lacks something that one of its members requires."""
    return any(not chosen.issuperset(requires.get(item, ())) for item in chosen)


def needed_by_others(items: Collection[Item], requires: Requirements) -> Items:
    """Return those of the items that others of them require, directly or not, without being required by these."""
    closed = {item: _with_required([item], requires, frozenset(items)) for item in items}
    return frozenset(
        item for item in items if any(item in closed[other] and other not in closed[item] for other in items)
    )


def _shortest_bad(known: Items, clusters: Sequence[Sequence[Item]], first_bad: FirstBad, width: int) -> int:
    """Return how many clusters, from the first on, break the test together with `known`; with one less they are not
    known to."""
    low, high = 0, len(clusters)
    while high - low > 1:
        step = (high - low) / (width + 1)
        counts = sorted({low + max(1, round(step * number)) for number in range(1, width + 1)} - {high})
        bad = first_bad([known.union(*clusters[:count]) for count in counts])
        low, high = (counts[-1], high) if bad is None else (counts[bad - 1] if bad else low, counts[bad])
    return high


def _with_required(items: Iterable[Item], requires: Requirements, within: Items) -> Items:
    """Return the items and all that they require, directly or not, as far as it is `within`."""
    closed: set[Item] = set()
    pending = list(items)
    while pending:
        item = pending.pop()
        if item not in closed:
            closed.add(item)
            pending += [needed for needed in requires.get(item, ()) if needed in within]
    return frozenset(closed)


def _split(items: Sequence[Item], parts: int) -> list[Sequence[Item]]:
    ends = [len(items) * number // parts for number in range(parts + 1)]
    return [items[start:end] for start, end in pairwise(ends)]
