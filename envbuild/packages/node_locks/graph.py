"""What a project's lock says, whoever wrote it: packages, and which of them needs which."""

from __future__ import annotations

from dataclasses import dataclass

MAX_PACKAGES = 50_000


@dataclass(frozen=True, slots=True)
class Edge:
    """What something needs: it looks for `alias` and is meant to find the package `key`. Without that one it goes
    on, if `optional`."""

    alias: str
    key: str
    optional: bool = False


@dataclass(frozen=True, slots=True)
class NodePackage:
    """A package of a lock, at its `line`. `integrity` is a Subresource Integrity text, "" if the lock has none; `place`
    is where the lock has its archive. It runs on `os`, `cpu` and `libc` as package.json has them; `peers` are names
    that it has to find where what needs it finds them. The lock may not know where a package runs: `says_platform`.
    `checksum` is yarn's, of the zip file that it makes of the archive."""

    name: str
    version: str
    line: int
    integrity: str = ""
    place: str = ""
    os: tuple[str, ...] = ()
    cpu: tuple[str, ...] = ()
    libc: tuple[str, ...] = ()
    needs: tuple[Edge, ...] = ()
    peers: tuple[str, ...] = ()
    says_platform: bool = True
    checksum: str = ""


@dataclass(frozen=True, slots=True)
class Graph:
    """All packages of a lock by their keys there, and what the project itself needs."""

    path: str
    packages: dict[str, NodePackage]
    roots: tuple[Edge, ...]

    def reachable(self, avoided: frozenset[str] = frozenset(), *, optional: bool = True) -> set[str]:
        """Return the keys of the packages that the project comes to without those that are `avoided` where they are
        optional; and without all that is optional, unless that is wanted."""
        keys: set[str] = set()
        edges = list(self.roots)
        while edges:
            edge = edges.pop()
            if edge.key in keys or (edge.optional and (not optional or edge.key in avoided)):
                continue
            keys.add(edge.key)
            edges += self.packages[edge.key].needs
        return keys

    def needed_first(self) -> list[str]:
        """Return the keys of all packages, each after those that it needs; of a cycle one of them comes first."""
        order: list[str] = []
        seen: set[str] = set()
        stack = [(edge.key, False) for edge in reversed(self.roots)]
        while stack:
            key, is_done = stack.pop()
            if is_done:
                order.append(key)
            elif key not in seen:
                seen.add(key)
                stack.append((key, True))
                stack += [(edge.key, False) for edge in reversed(self.packages[key].needs)]
        return order
