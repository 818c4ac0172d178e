"""The layers that candidates are mounted from: each small, on those of the candidate that is most like it."""

from __future__ import annotations

import os

from envbuild.bisect.composer import CandidateTrees, Selection
from envbuild.bisect.layer_folder import LayerFolder
from envbuild.digest import sha256_of
from envbuild.linux.attributes import apply_to_open_file
from envbuild.record import Record
from envbuild.store.layer_writer import LayerWriter
from envbuild.store.objects import Objects
from envbuild.store.stacks import MAX_DEPTH
from envbuild.store.store import Store
from envbuild.tree.entry import Digest, Entry, object_id

MAX_COPIED = 64 << 10
"""Bytes of a file that is copied into memory; larger ones are links to the store's."""
MAX_MEMORY = 256 << 20
"""Bytes of all such files; of more, those that come later are links, too."""


class _Mounted(Record):
    """A tree that can be mounted, and its layers, topmost first."""

    tree: Digest
    layers: tuple[str, ...]


class CandidateLayers:
    """The layers of the candidates of one search. They stand on those of the good and of the bad tree."""

    def __init__(
        self, store: Store, trees: CandidateTrees, folder: LayerFolder, good: Digest, bad: tuple[Selection, Digest]
    ) -> None:
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
        name = str(len(self._mounted))
        path, on_disk = (f"{folder}/{name}" for folder in (self._folder.path, self._folder.on_disk))
        os.mkdir(path, 0o755)
        self._writer.write(path, tree, below.tree)
        # What is on disk has the directories of the other, whose attributes show.
        layers = (path, on_disk) if on_disk != path and os.path.isdir(on_disk) else (path,)
        return _Mounted(tree, (*layers, *below.layers))


class _CandidateWriter(LayerWriter):
    """Writes layers in memory, but for large files, which are links to the store's in a layer on disk."""

    def __init__(self, trees: CandidateTrees, objects: Objects, folder: LayerFolder) -> None:
        # Never less than occur in all layers: two files of one tree are never one inode.
        super().__init__(trees, objects, {})
        self._pool = objects
        self._folder = folder
        self._known: dict[tuple[str, Digest], str] = {}
        self._room = MAX_MEMORY
        self._start = len(folder.path) + 1

    def put_file(self, path: str, entry: Entry) -> None:
        if self._folder.path == self._folder.on_disk:
            super().put_file(path, entry)
            return
        inside = path[self._start :]
        identity = object_id(entry)
        key = inside.partition("/")[2], identity
        copy = self._known.get(key)
        if copy is not None:
            os.link(copy, path)
            return
        if entry.size > min(MAX_COPIED, self._room):
            on_disk = f"{self._folder.on_disk}/{inside}"
            os.makedirs(os.path.dirname(on_disk), exist_ok=True)
            super().put_file(on_disk, entry)
            return
        self._room -= entry.size
        self._copy(path, entry, identity)
        self._known[key] = path

    def _copy(self, path: str, entry: Entry, identity: Digest) -> None:
        left = self._content(entry, identity)
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        try:
            while left:
                left = left[os.write(descriptor, left) :]
            # It belongs to root already, and most files do.
            apply_to_open_file(descriptor, entry, owners=self._pool.owners and (entry.uid, entry.gid) != (0, 0))
        finally:
            os.close(descriptor)

    def _content(self, entry: Entry, identity: Digest) -> bytes:
        """Return what is in a file of the store. Its attributes are of no matter here. Raises StoreDamaged."""
        try:
            descriptor = os.open(self._pool.where(identity), os.O_RDONLY | os.O_CLOEXEC)
        except FileNotFoundError:
            return self._pool.read(entry)  # which says what is wrong
        try:
            content = os.read(descriptor, entry.size + 1)
        finally:
            os.close(descriptor)
        return content if sha256_of(content) == entry.digest else self._pool.read(entry)
