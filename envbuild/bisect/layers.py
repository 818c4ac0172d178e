"""The layers that candidates are mounted from: each small, on those of the candidate that is most like it."""

from __future__ import annotations

import os

from envbuild.bisect.composer import CandidateTrees, Selection
from envbuild.linux.attributes import apply_to_open_file
from envbuild.record import Record
from envbuild.store.layer_writer import LayerWriter
from envbuild.store.objects import Objects
from envbuild.store.stacks import MAX_DEPTH
from envbuild.store.store import Store
from envbuild.tree.entry import Digest, Entry, object_id

MAX_COPIED = 256 << 10
"""Bytes of a file that is copied; larger ones are links to the store's."""


class _Mounted(Record):
    """A tree that can be mounted, and its layers, topmost first."""

    tree: Digest
    layers: tuple[str, ...]


class CandidateLayers:
    """The layers of the candidates of one search, in a directory that ends with it. They stand on those of the good and
    of the bad tree."""

    def __init__(
        self, store: Store, trees: CandidateTrees, folder: str, good: Digest, bad: tuple[Selection, Digest]
    ) -> None:
        """`folder` is an empty directory on the store's file system."""
        self._trees = trees
        self._folder = folder
        self._writer = _CandidateWriter(trees, store.objects, folder)
        everything, tree = bad
        self._mounted: dict[Selection, _Mounted] = {
            0: _Mounted(good, store.layers(good)),
            everything: _Mounted(tree, store.layers(tree, (good,))),
        }

    def of(self, selection: Selection, tree: Digest) -> tuple[str, ...]:
        """Return the layers of a candidate, topmost first; what is missing is made. Raises StoreDamaged."""
        known = self._mounted.get(selection)
        if known is None:
            known = self._mounted[selection] = self._add(tree, self._nearest(selection))
        return known.layers

    def _nearest(self, selection: Selection) -> _Mounted:
        """Return what the fewest parts have to be put on."""
        shallow = (item for item in self._mounted.items() if len(item[1].layers) < MAX_DEPTH)
        nearest = min(shallow, key=lambda item: (item[0] ^ selection).bit_count(), default=None)
        return self._mounted[0] if nearest is None else nearest[1]

    def _add(self, tree: Digest, below: _Mounted) -> _Mounted:
        if tree == below.tree:
            return below
        path = f"{self._folder}/{len(self._mounted)}"
        os.mkdir(path, 0o755)
        self._writer.write(path, tree, below.tree)
        return _Mounted(tree, (path, *below.layers))


class _CandidateWriter(LayerWriter):
    """Writes layers whose small files are copies, one for each file at each path.

    A link to a file of the store changes that file's change time, and so would have the next command that uses an image
    with it read the file again. And two names of one tree never are one file, as they might be to `cp` else.
    """

    def __init__(self, trees: CandidateTrees, objects: Objects, folder: str) -> None:
        super().__init__(trees, objects, {})
        self._pool = objects
        self._known: dict[tuple[str, Digest], str] = {}
        self._start = len(folder) + 1

    def put_file(self, path: str, entry: Entry) -> None:
        if entry.size > MAX_COPIED:
            super().put_file(path, entry)
            return
        _, _, inside = path[self._start :].partition("/")
        key = inside, object_id(entry)
        copy = self._known.get(key)
        if copy is not None:
            os.link(copy, path)
            return
        content = self._pool.read(entry)
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        try:
            left = memoryview(content)
            while left:
                left = left[os.write(descriptor, left) :]
            apply_to_open_file(descriptor, entry, owners=self._pool.owners)
        finally:
            os.close(descriptor)
        self._known[key] = path
