"""Which files differ between two images of registries: by the indexes of their layers, with no content fetched; or by
the layers themselves, which are fetched and read, and of which nothing is taken into the store."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Sequence
from hashlib import sha256
from itertools import islice

from envbuild.digest import sha256_of
from envbuild.oci.layer_index import BadIndex
from envbuild.record import Record
from envbuild.registry.client import Repository
from envbuild.registry.reference import RegistryReference
from envbuild.sharing.import_image import read_layers
from envbuild.sharing.indexed_pull import IndexedPull, Unfit
from envbuild.sharing.layer_directories import LayerDirectories
from envbuild.sharing.layered_tree import LayeredTree
from envbuild.sharing.pull import PulledImage
from envbuild.sharing.remote_diff import Described
from envbuild.sharing.transfers import Report
from envbuild.store.store import Store
from envbuild.tree.diff import Change, diff, expanded
from envbuild.tree.entry import Digest, Entry
from envbuild.tree.lookup import MemoryTrees, Trees

_CHUNK = 1 << 20
MAX_CHANGES = 100_000
"""Paths that are listed."""


class FileChanges(Record):
    """The paths that differ, as many as are listed, and whether there are more."""

    changes: tuple[Change, ...]
    more: bool


class _Both:
    """The directories of two images, as trees to read."""

    def __init__(self, sides: tuple[LayerDirectories, LayerDirectories]) -> None:
        self._sides = sides

    def load(self, digest: Digest) -> tuple[Entry, ...]:
        """Return the entries of a directory of either. Raises BadIndex and StoreDamaged."""
        try:
            return self._sides[0].load(digest)
        except BadIndex:
            return self._sides[1].load(digest)

    def save(self, entries: Iterable[Entry]) -> Digest:
        """Keep a directory in memory."""
        return self._sides[0].save(entries)


def file_changes(store: Store, old: tuple[Repository, Described], new: tuple[Repository, Described]) -> FileChanges:
    """Return which files differ between two images. Raises Unfit where an image has no indexes, or not such as fit it,
    and what asking raises."""
    (before, old_tree), (after, new_tree) = (
        IndexedPull(store, repository, image.remote.manifest.layers, image.config, _no_report).directories()
        for repository, image in (old, new)
    )
    trees = _Both((before, after))
    try:
        return _listed(trees, old_tree, new_tree)
    except BadIndex as error:
        raise Unfit(f"an index of its layers is not right: {error}") from error


def fetched_changes(
    store: Store,
    images: Sequence[tuple[Repository, RegistryReference, Described]],
    most: int,
    report: Report,
) -> FileChanges:
    """Return which files differ between two images, the old one first. Their layers are brought here as for a pull,
    each of at most so many bytes; what is here is not fetched. Raises TooLargeToFetch, BadImage, ArchiveError and what
    asking raises."""
    trees = MemoryTrees()
    roots = []
    for repository, reference, image in images:
        source = PulledImage(store, repository, reference, image.remote, most)
        source.fetch(report)
        layers = LayeredTree(trees, _Hashes(), source.shown)
        read_layers(source, source.image, layers, report)
        roots.append(layers.finish())
    old, new = roots
    return _listed(trees, old, new)


class _Hashes:
    """Takes files for their digests alone."""

    def add(self, entry: Entry, source: bytes | int, /) -> Entry:
        """Return the entry of a file with digest and size."""
        if isinstance(source, bytes):
            return entry._replace(digest=sha256_of(source), size=len(source))
        state, size = sha256(), 0
        while data := os.read(source, _CHUNK):
            state.update(data)
            size += len(data)
        return entry._replace(digest=state.hexdigest(), size=size)


def _listed(trees: Trees, old: Digest, new: Digest) -> FileChanges:
    changes = list(islice(_changes(trees, old, new), MAX_CHANGES + 1))
    return FileChanges(tuple(changes[:MAX_CHANGES]), len(changes) > MAX_CHANGES)


def _changes(trees: Trees, old: Digest, new: Digest) -> Iterator[Change]:
    yield from expanded(trees, diff(trees, old, new))


def _no_report(what: str, done: int, total: int) -> None:
    """Tell nobody: indexes are small."""
