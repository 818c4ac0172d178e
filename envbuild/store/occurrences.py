"""How often each file occurs in a tree: this decides which inode of the pool a layer may use."""

from __future__ import annotations

from envbuild.store.trees import StoredTrees
from envbuild.tree.entry import Digest, Mark

_MAX_REMEMBERED = 4


class Occurrences:
    """How often each file occurs in a tree, for the last trees that were asked for: this decides which inode of the
    pool a layer may use. A tree is walked only when a file that should go into a layer is in the pool already; most
    steps never ask."""

    def __init__(self, trees: StoredTrees) -> None:
        self._trees = trees
        self._counts: dict[Digest, dict[Mark, int]] = {}

    def of(self, tree: Digest | None) -> dict[Mark, int]:
        """Return the counts of one tree, for the caller to change."""
        if tree is None:
            return {}
        counts = self._counts.get(tree)
        if counts is None:
            counts = self._trees.marks(tree)
            while len(self._counts) >= _MAX_REMEMBERED:
                self._counts.pop(next(iter(self._counts)))
            self._counts[tree] = counts
        return dict(counts)
