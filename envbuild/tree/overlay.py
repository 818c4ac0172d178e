"""Trees on top of each other, as layers are: what is in an upper one hides what is below, directories are joined."""

from __future__ import annotations

from envbuild.tree.entry import DIRECTORY, ROOT_NAME, Digest, Entry

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from envbuild.tree.lookup import Trees


def overlay(trees: Trees, below: Digest, above: Digest) -> Digest:
    """Return the tree that shows `above` over `below`. Subtrees that only one of them has are shared, not read."""
    if below == above:
        return above
    entries = {entry.name: entry for entry in trees.load(below)}
    for entry in trees.load(above):
        known = entries.get(entry.name)
        if known is not None and known.kind == DIRECTORY == entry.kind and entry.name != ROOT_NAME:
            entry = entry._replace(digest=overlay(trees, known.digest, entry.digest))
        entries[entry.name] = entry
    return trees.save(entries.values())


def without(trees: Trees, root: Digest, paths: Iterable[bytes]) -> Digest:
    """Return a tree without what is at these paths, of which some may lead nowhere."""
    return _without(trees, root, [path.split(b"/") for path in paths])


def _without(trees: Trees, directory: Digest, paths: Sequence[list[bytes]]) -> Digest:
    if not paths:
        return directory
    below: dict[bytes, list[list[bytes]]] = {}
    for first, *rest in paths:
        below.setdefault(first, []).append(rest)
    kept: list[Entry] = []
    for entry in trees.load(directory):
        gone = below.get(entry.name)
        if gone is not None and entry.name != ROOT_NAME:
            if [] in gone:
                continue
            if entry.kind == DIRECTORY:
                entry = entry._replace(digest=_without(trees, entry.digest, gone))
        kept.append(entry)
    return trees.save(kept)
