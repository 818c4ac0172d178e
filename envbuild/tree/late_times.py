"""A tree whose times are put back: for what several commands made, each of which saw the true times of the others."""

from __future__ import annotations

from envbuild.tree.entry import DIRECTORY, FILE, ROOT_NAME, Digest, Entry

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from envbuild.tree.lookup import Trees

MAX_DEPTH = 400
"""Levels of directories that are changed."""


class TooDeep(Exception):
    """A tree has more levels than that. Never leaves the build."""


def without_late_times(
    trees: Trees, tree: Digest, before: Digest, put_back: Callable[[int], int], alter: Callable[[Entry, Entry], Entry]
) -> Digest:
    """Return `tree`, where all that is not in `before` has the time that `put_back` makes of its own. `alter` is told
    of each file whose time changes, with the entry that it had and the new one. Raises TooDeep."""
    return _put_back(trees, tree, before, put_back, alter, MAX_DEPTH)


def _put_back(
    trees: Trees,
    directory: Digest,
    before: Digest | None,
    put_back: Callable[[int], int],
    alter: Callable[[Entry, Entry], Entry],
    depth: int,
) -> Digest:
    if directory == before:
        return directory
    if not depth:
        raise TooDeep
    known = {entry.name: entry for entry in trees.load(before)} if before else {}
    entries = []
    for entry in trees.load(directory):
        old = known.get(entry.name)
        if entry == old:
            entries.append(entry)
            continue
        mtime = put_back(entry.mtime)
        new = entry if mtime == entry.mtime else entry._replace(mtime=mtime)
        if entry.kind == DIRECTORY and entry.name != ROOT_NAME:
            below = old.digest if old is not None and old.kind == DIRECTORY else None
            new = new._replace(digest=_put_back(trees, entry.digest, below, put_back, alter, depth - 1))
        elif entry.kind == FILE and new != entry:
            new = alter(entry, new)
        entries.append(new)
    return trees.save(entries)
