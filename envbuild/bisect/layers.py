"""The layers that candidates are mounted from: each small, on those of the candidate that is most like it."""

from __future__ import annotations

import os
from collections.abc import Sequence

from envbuild.bisect.composer import CandidateTrees, Selection
from envbuild.record import Record
from envbuild.store.layer_writer import LayerWriter
from envbuild.store.occurrences import Mark
from envbuild.store.stacks import MAX_DEPTH
from envbuild.store.store import Store
from envbuild.tree.entry import Digest


class _Mounted(Record):
    """What a candidate is mounted from: the layers, and how often each file occurs in them."""

    tree: Digest
    layers: tuple[str, ...]
    counts: dict[Mark, int]


class CandidateLayers:
    """The layers of the candidates of one search, in a directory that ends with it."""

    def __init__(
        self, store: Store, trees: CandidateTrees, folder: str, roots: Sequence[tuple[Selection, Digest]]
    ) -> None:
        """`roots` are the trees of the store that candidates are built on. `folder` is an empty directory on the
        store's file system."""
        self._store = store
        self._trees = trees
        self._folder = folder
        self._mounted: dict[Selection, _Mounted] = {}
        for selection, tree in roots:
            layers = store.layers(tree)
            self._mounted[selection] = _Mounted(tree, layers, store.stacks.occurrences.of(tree))

    def of(self, selection: Selection, tree: Digest) -> tuple[str, ...]:
        """Return the layers of a candidate, topmost first; what is missing is made. Raises StoreDamaged."""
        known = self._mounted.get(selection)
        if known is None:
            known = self._mounted[selection] = self._add(tree, self._nearest(selection))
        return known.layers

    def _nearest(self, selection: Selection) -> _Mounted:
        """Return what the fewest parts have to be put on."""
        return min(
            (mounted for mounted in self._mounted.items() if len(mounted[1].layers) < MAX_DEPTH),
            key=lambda mounted: (mounted[0] ^ selection).bit_count(),
            default=next(iter(self._mounted.items())),
        )[1]

    def _add(self, tree: Digest, below: _Mounted) -> _Mounted:
        if tree == below.tree:
            return below
        path = f"{self._folder}/{len(self._mounted)}"
        os.mkdir(path, 0o755)
        counts = dict(below.counts)
        LayerWriter(self._trees, self._store.objects, counts).write(path, tree, below.tree)
        return _Mounted(tree, (path, *below.layers), counts)
