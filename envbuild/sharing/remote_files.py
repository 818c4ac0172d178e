"""Which files differ between two images of registries, by the indexes of their layers: no content is fetched."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import islice

from envbuild.oci.layer_index import BadIndex
from envbuild.record import Record
from envbuild.registry.client import Repository
from envbuild.sharing.indexed_pull import IndexedPull, Unfit
from envbuild.sharing.layer_directories import LayerDirectories
from envbuild.sharing.remote_diff import Described
from envbuild.store.store import Store
from envbuild.tree.diff import Change, diff, expanded
from envbuild.tree.entry import Digest, Entry

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
        changes = list(islice(_changes(trees, old_tree, new_tree), MAX_CHANGES + 1))
    except BadIndex as error:
        raise Unfit(f"an index of its layers is not right: {error}") from error
    return FileChanges(tuple(changes[:MAX_CHANGES]), len(changes) > MAX_CHANGES)


def _changes(trees: _Both, old: Digest, new: Digest) -> Iterator[Change]:
    yield from expanded(trees, diff(trees, old, new))


def _no_report(what: str, done: int, total: int) -> None:
    """Tell nobody: indexes are small."""
