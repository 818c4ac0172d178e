"""Trees that are parts of one: a tree cut down to some of its paths, and what several trees have together."""

from __future__ import annotations

from envbuild.tree.diff import own
from envbuild.tree.entry import DIRECTORY, ROOT_NAME, Digest, Entry

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from envbuild.tree.lookup import Trees

MAX_DEPTH = 400
"""Levels of directories that trees may share; deeper ones overlap as far as anybody asks."""


class Overlap(Exception):
    """Two trees have different entries at one path. Never leaves the build."""


def excerpt(trees: Trees, root: Digest, paths: Iterable[bytes]) -> Digest:
    """Return the tree that has only what lies at `paths` of `root`, and the directories on the way there as they are.

    A path that leads nowhere, or through a link, adds nothing.
    """
    return _excerpt(trees, root, [path.split(b"/") for path in paths])


def _excerpt(trees: Trees, directory: Digest, paths: Sequence[list[bytes]]) -> Digest:
    below: dict[bytes, list[list[bytes]]] = {}
    for first, *rest in paths:
        below.setdefault(first, []).append(rest)
    kept = []
    for entry in trees.load(directory):
        wanted = below.get(entry.name)
        if entry.name == ROOT_NAME or (wanted is not None and [] in wanted):
            kept.append(entry)
        elif wanted is not None and entry.kind == DIRECTORY:
            kept.append(entry._replace(digest=_excerpt(trees, entry.digest, wanted)))
    return trees.save(kept)


def union(trees: Trees, roots: Iterable[Digest]) -> Digest:
    """Return the tree that has what all of `roots` have; subtrees of one of them alone are shared, not read. Raises
    Overlap where two have something else at one path, or a directory with other attributes."""
    return _union(trees, list(dict.fromkeys(roots)), MAX_DEPTH)


def _union(trees: Trees, directories: Sequence[Digest], depth: int) -> Digest:
    if len(directories) == 1:
        return directories[0]
    if not depth:
        raise Overlap
    together: dict[bytes, list[Entry]] = {}
    for directory in directories:
        for entry in trees.load(directory):
            together.setdefault(entry.name, []).append(entry)
    merged = []
    for entries in together.values():
        first, *others = dict.fromkeys(entries)
        if others:
            if any(other.kind != DIRECTORY or own(other) != own(first) for other in (first, *others)):
                raise Overlap
            first = first._replace(digest=_union(trees, [entry.digest for entry in (first, *others)], depth - 1))
        merged.append(first)
    return trees.save(merged)
