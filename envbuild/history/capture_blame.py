"""Why a path of a machine is as it is: since which capture, what it was before, what its package shipped, and what the
package manager did meanwhile."""

from __future__ import annotations

from collections.abc import Iterable

from envbuild.history.package_log import PackageAction, actions_between
from envbuild.history.shipped import Shipped, ShippedFiles
from envbuild.images.capture_record import BadCaptureRecord
from envbuild.packages.inventory.component import DPKG
from envbuild.packages.inventory.owner import Owner
from envbuild.record import Record
from envbuild.store.images import Image
from envbuild.store.store import Store
from envbuild.store.tags import HistoryEntry
from envbuild.tree.diff import own
from envbuild.tree.entry import DIRECTORY, FILE, Digest, Entry
from envbuild.tree.lookup import lookup

Moves = list[tuple[int, HistoryEntry]]


class Past(Record):
    """A capture, which is `back` moves back, and what it had at the path: None for nothing."""

    move: HistoryEntry
    back: int
    entry: Entry | None


class CaptureBlame(Record):
    """The reasons for a path of a capture, or for there being nothing. `since` is the first of the captures in a row
    that have it so, None if the history of no name is known; `before` is the one before that, None if there is none.
    `shipped` is what its package brought, `as_shipped` whether that is what is there (None if it can't be told), and
    `original` a file of an earlier capture that has what was shipped. `actions` are those of the package manager
    between `before` and `since`."""

    since: Past | None
    before: Past | None
    shipped: Shipped | None
    as_shipped: bool | None
    original: Entry | None
    actions: tuple[PackageAction, ...]


def capture_blame(store: Store, tree: Digest, path: bytes, owner: Owner | None, moves: Moves) -> CaptureBlame:
    """Return the reasons for what a tree has at the resolved `path`, or has not. `moves` are those of the capture's
    name, from the tree's image back. Raises StoreDamaged."""
    entry = lookup(store.trees, tree, path, follow=False)
    since, before = _change(store, path, entry, moves)
    files = ShippedFiles(store, tree)
    shipped = files.of(path, owner.name if owner is not None and owner.kind == DPKG else "")
    as_shipped = files.is_as_shipped(entry, shipped) if entry is not None and shipped is not None else None
    original = None
    if shipped is not None and as_shipped is False:
        original = _original(store, path, shipped, files, moves)
    return CaptureBlame(since, before, shipped, as_shipped, original, _actions(store, since, before))


def capture_since(store: Store, tree: Digest, path: bytes, moves: Moves) -> Past | None:
    """Return the first of the captures in a row that have what `tree` has at a path; the arguments are those of
    `capture_blame`."""
    return _change(store, path, lookup(store.trees, tree, path, follow=False), moves)[0]


def _change(store: Store, path: bytes, entry: Entry | None, moves: Moves) -> tuple[Past | None, Past | None]:
    since: Past | None = None
    wanted = _essence(entry)
    for back, move in moves:
        image = _image(store, move)
        if image is None:
            continue
        here = lookup(store.trees, image.tree, path, follow=False)
        if _essence(here) != wanted:
            return since, Past(move, back, here)
        since = Past(move, back, here)
    return since, None


def _essence(entry: Entry | None) -> Entry | None:
    """Return an entry without what does not matter: its time, and of a directory what lies in it."""
    if entry is None:
        return None
    return (own(entry) if entry.kind == DIRECTORY else entry)._replace(mtime=0)


def _original(store: Store, path: bytes, shipped: Shipped, files: ShippedFiles, moves: Moves) -> Entry | None:
    """Return a file of an earlier capture that is what was shipped."""
    seen: set[Digest] = set()
    for _, move in moves:
        image = _image(store, move)
        earlier = lookup(store.trees, image.tree, path, follow=False) if image is not None else None
        if earlier is None or earlier.kind != FILE or earlier.digest in seen:
            continue
        seen.add(earlier.digest)
        if files.is_as_shipped(earlier, shipped):
            return earlier
    return None


def _actions(store: Store, since: Past | None, before: Past | None) -> tuple[PackageAction, ...]:
    image = _image(store, since.move) if since is not None else None
    if since is None or image is None:
        return ()
    try:
        begin = before.move.moved if before is not None else None
        return tuple(actions_between(store, image.tree, begin, since.move.moved))
    except BadCaptureRecord:
        return ()


def _image(store: Store, move: HistoryEntry) -> Image | None:
    return store.images.get(move.image) if move.image is not None else None


def about(actions: Iterable[PackageAction], owner: Owner | None, shipped: Shipped | None) -> list[PackageAction]:
    """Return the actions, those of the path's own package first."""
    names = {owner.name.partition(":")[0]} if owner is not None else set()
    names |= {shipped.package} if shipped is not None else set()
    return sorted(actions, key=lambda action: action.package.partition(":")[0] not in names)
