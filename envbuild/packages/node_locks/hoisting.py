"""Places for the packages of a graph as npm and yarn choose: each as high as it can be, where all that need it find
it. Another version of what lies there goes below what needs it."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field

from envbuild.packages.node_locks.graph import Edge, Graph
from envbuild.packages.node_locks.indented_text import BadProjectLock

MAX_PLACES = 100_000
MAX_DEPTH = 40


@dataclass(slots=True)
class _Level:
    """One node_modules: that of the project, or of a package. `passed` are names that packages at or below it find
    further up: these may not come to lie in it."""

    path: str
    above: _Level | None
    depth: int
    there: dict[str, str] = field(default_factory=dict)
    passed: dict[str, str] = field(default_factory=dict)


def hoisted(graph: Graph) -> dict[str, str]:
    """Return the keys of the packages by their paths below node_modules. Raises BadProjectLock for a graph that needs
    too many places."""
    root = _Level("", None, 0)
    places: dict[str, str] = {}
    queue: deque[tuple[str, _Level]] = deque()

    def place(edge: Edge, level: _Level) -> None:
        path = f"{level.path}{edge.alias}"
        level.there[edge.alias] = edge.key
        places[path] = edge.key
        if len(places) > MAX_PLACES or level.depth > MAX_DEPTH:
            reason = "its packages can't be laid out: too many need different versions of each other"
            raise BadProjectLock(graph.path, graph.packages[edge.key].line, reason, "remove duplicates from it")
        queue.append((edge.key, _Level(f"{path}/node_modules/", level, level.depth + 1)))

    for edge in graph.roots:
        place(edge, root)
    while queue:
        key, own = queue.popleft()
        needs = graph.packages[key].needs
        # What others have as a peer comes first: it decides how high these can be.
        for edge in sorted(needs, key=lambda edge: (len(graph.packages[edge.key].peers), edge.alias)):
            level = _level_for(graph, edge, own)
            if level is not None:
                place(edge, level)
    return places


def _level_for(graph: Graph, edge: Edge, own: _Level) -> _Level | None:
    """Return where to place what a package needs, None if the package finds it already; `own` is its node_modules."""
    peers = [peer for peer in graph.packages[edge.key].peers if peer != edge.alias]
    at: _Level | None = own
    chosen, below = own, True
    while at is not None:
        held = at.there.get(edge.alias)
        if held is not None:
            if held != edge.key or not _finds_alike(peers, own, at):
                break
            _pass(edge, own, at)
            return None
        if below and at.passed.get(edge.alias, edge.key) == edge.key and _finds_alike(peers, own, at):
            chosen = at
        else:
            below = False
        at = at.above
    _pass(edge, own, chosen)
    return chosen


def _finds_alike(peers: list[str], own: _Level, other: _Level) -> bool:
    return own is other or all(_found(peer, own) == _found(peer, other) for peer in peers)


def _found(name: str, level: _Level | None) -> str | None:
    while level is not None:
        if name in level.there:
            return level.there[name]
        level = level.above
    return None


def _pass(edge: Edge, own: _Level, end: _Level) -> None:
    """Note that what lies at `own` finds a package at `end`, and so in none of those between."""
    level: _Level | None = own
    while level is not None and level is not end:
        level.passed[edge.alias] = edge.key
        level = level.above
