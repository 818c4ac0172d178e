"""Compiled Python of which both sides have another: it goes with the source that the merged tree has."""

from __future__ import annotations

import re

from envbuild.tree.apply import Edit
from envbuild.tree.lookup import LinkCircle, lookup

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from envbuild.merge.three_way import Collision
    from envbuild.tree.entry import Digest, Entry
    from envbuild.tree.lookup import Trees

_COMPILED = re.compile(rb"(.*/|)__pycache__/([^/]+?)\.[\w-]+(?:\.opt-\d)?\.pyc")


def is_compiled(path: bytes) -> bool:
    """Return whether a path is compiled Python that Python itself would make anew (PEP 3147)."""
    return _COMPILED.fullmatch(path) is not None


def compiled_edits(
    trees: Trees, merged: Digest, ours: Digest, theirs: Digest, collisions: Iterable[Collision]
) -> Iterator[Edit]:
    """Yield what becomes of compiled Python: that of the side whose source the merged tree has, and nothing where it
    has neither's, or no source at all: Python compiles what it lacks."""
    for collision in collisions:
        match = _COMPILED.fullmatch(collision.path)
        assert match is not None
        source = match[1] + match[2] + b".py"
        wanted = _source(trees, merged, source)
        entry = None
        for tree, side in ((ours, collision.ours), (theirs, collision.theirs)):
            if wanted is not None and side is not None and _source(trees, tree, source) == wanted:
                # Both sides may have compiled the same source: of two equals it is the same one whoever merges.
                entry = side if entry is None else max(entry, side)
        yield Edit(collision.path, entry, True)


def _source(trees: Trees, tree: Digest, path: bytes) -> tuple[str, int] | None:
    """Return what compiled Python knows of its source: the content and the time."""
    try:
        entry: Entry | None = lookup(trees, tree, path)
    except LinkCircle:
        return None
    return None if entry is None else (entry.digest, entry.mtime)
