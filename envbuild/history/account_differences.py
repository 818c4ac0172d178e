"""The accounts that differ between two versions of a file such as passwd(5), of which each line is one account's."""

from __future__ import annotations

from envbuild.images.accounts import MAX_BYTES
from envbuild.store.store import Store
from envbuild.tree.diff import Change
from envbuild.tree.entry import FILE, Entry


def accounts_that_differ(store: Store, change: Change) -> set[str] | None:
    """Return the names of the accounts whose lines came, went or are others; None if that can't be told, or if more
    than lines differs."""
    before, after = change.before, change.after
    texts = [_lines(store, entry) for entry in (before, after)]
    if texts[0] is None or texts[1] is None:
        return None
    if before is not None and after is not None:
        own = [(entry.kind, entry.mode, entry.uid, entry.gid, entry.xattrs) for entry in (before, after)]
        if own[0] != own[1]:
            return None
    return {line.partition(":")[0] for line in texts[0] ^ texts[1]}


def _lines(store: Store, entry: Entry | None) -> set[str] | None:
    if entry is None:
        return set()
    if entry.kind != FILE or entry.size > MAX_BYTES:
        return None
    return set(store.objects.read(entry, MAX_BYTES).decode("utf-8", "surrogateescape").splitlines())
