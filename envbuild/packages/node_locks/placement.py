"""Where the packages of a lock lie below node_modules."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass

from envbuild.digest import sha256_of
from envbuild.packages.node_locks.graph import Graph
from envbuild.packages.node_names import STORE

MAX_FOLDER = 120
_ESCAPED = str.maketrans({"/": "+", "\\": "+", ":": "+", "*": "+", "?": "+", '"': "+", "<": "+", ">": "+", "|": "+"})
_KEPT = frozenset("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789@+._~!'-")


@dataclass(frozen=True, slots=True)
class Placement:
    """Paths below node_modules: of packages, with the keys that these have in the lock, and of links, with the paths
    that they lead to."""

    packages: dict[str, str]
    links: dict[str, str]


def apart(graph: Graph) -> Placement:
    """Return the places that pnpm gives to packages: each in a folder of its own, beside links to what it needs. What
    the project needs is linked from its node_modules; packages that don't say what they need find all others too."""
    places: dict[str, str] = {}
    links: dict[str, str] = {}
    folders: dict[str, str] = {}
    queue = deque(edge.key for edge in graph.roots)
    while queue:
        key = queue.popleft()
        if key in places:
            continue
        package = graph.packages[key]
        folder = _folder(key)
        if folders.setdefault(folder, key) != key:
            folder = f"{folder[: MAX_FOLDER - 33]}_{sha256_of(key.encode())[:32]}"
        places[key] = f"{STORE}/{folder}/node_modules/{package.name}"
        queue.extend(edge.key for edge in package.needs)
    direct = {edge.alias for edge in graph.roots}
    links.update({edge.alias: edge.key for edge in graph.roots})
    for key, place in places.items():
        package = graph.packages[key]
        own = place[: -len(package.name)]
        for edge in package.needs:
            if edge.alias != package.name:
                links[f"{own}{edge.alias}"] = edge.key
            elif edge.key != key:
                links[f"{place}/node_modules/{edge.alias}"] = edge.key
        if package.name not in direct:
            links.setdefault(f"{STORE}/node_modules/{package.name}", key)
    return Placement({place: key for key, place in places.items()}, {at: places[key] for at, key in links.items()})


def _folder(key: str) -> str:
    """Return the name of a package's folder: its key, without characters that mean something in paths."""
    plain = key.translate(_ESCAPED).replace(")(", "_").replace("(", "_").replace(")", "")
    plain = "".join(character if character in _KEPT else "+" for character in plain)
    return plain if len(plain) <= MAX_FOLDER else f"{plain[: MAX_FOLDER - 33]}_{sha256_of(key.encode())[:32]}"
