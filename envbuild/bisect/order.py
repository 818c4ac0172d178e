"""The order in which differences are put on a tree: what others require first, and what requires each other
together."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping


def clusters_of(items: Iterable[int], requires: Mapping[int, Collection[int]]) -> list[list[int]]:
    """Return the items in clusters whose members require each other, directly or not; each cluster stands behind what
    it requires. So each beginning of the list requires nothing outside. Apart from that the given order stays.

    The clusters are the strongly connected components (Tarjan, "Depth-first search and linear graph algorithms"), found
    without recursion: chains of packages may be longer than Python's stack.
    """
    place = {item: at for at, item in enumerate(items)}
    number: dict[int, int] = {}
    lowest: dict[int, int] = {}
    open_items: list[int] = []
    begins: dict[int, int] = {}
    closed: set[int] = set()
    clusters: list[list[int]] = []
    for start in place:
        path = [] if start in number else [(start, _required(start, requires, place))]
        while path:
            item, left = path[-1]
            if item not in number:
                number[item] = lowest[item] = len(number)
                begins[item] = len(open_items)
                open_items.append(item)
            if left:
                inner = left.pop()
                if inner not in number:
                    path.append((inner, _required(inner, requires, place)))
                elif inner not in closed:
                    lowest[item] = min(lowest[item], number[inner])
                continue
            path.pop()
            if path:
                above = path[-1][0]
                lowest[above] = min(lowest[above], lowest[item])
            if lowest[item] == number[item]:
                cluster = open_items[begins[item] :]
                del open_items[begins[item] :]
                closed.update(cluster)
                clusters.append(sorted(cluster, key=place.__getitem__))
    return clusters


def _required(item: int, requires: Mapping[int, Collection[int]], place: Mapping[int, int]) -> list[int]:
    """Return what an item requires of the items at hand, the last of them first."""
    return sorted((needed for needed in requires.get(item, ()) if needed in place), key=place.__getitem__, reverse=True)
