"""Trees for tests: written as nested dictionaries, and drawn at random."""

from __future__ import annotations

from hashlib import sha256
from typing import Any

from hypothesis import strategies as st

from envbuild.tree.entry import DIRECTORY, FIFO, FILE, LINK, ROOT_NAME, Digest, Entry
from envbuild.tree.lookup import MemoryTrees, Trees, walk

ROOT = Entry(ROOT_NAME, DIRECTORY, 0o755, 0, 0, 0)


def file(content: bytes = b"", **attributes: Any) -> Entry:
    """A file's entry, without a name."""
    entry = Entry(b"", FILE, 0o644, 0, 0, 0, len(content), sha256(content).hexdigest())
    return entry._replace(**attributes)


def link(target: bytes) -> Entry:
    """A link's entry, without a name."""
    return Entry(b"", LINK, 0o777, 0, 0, 0, 0, "", target)


def tree(trees: Trees, content: dict[bytes, Any], root: Entry | None = ROOT) -> Digest:
    """The tree of nested dictionaries: bytes are files, entries stand for themselves."""
    entries = [] if root is None else [root]
    for name, inner in content.items():
        if isinstance(inner, dict):
            entries.append(Entry(name, DIRECTORY, 0o755, 0, 0, 0, 0, tree(trees, inner, None)))
        else:
            entry = inner if isinstance(inner, Entry) else file(inner)
            entries.append(entry._replace(name=name))
    return trees.save(entries)


def paths(trees: Trees, root: Digest) -> list[bytes]:
    """Every path of a tree."""
    return [path for path, _ in walk(trees, root)]


names = st.binary(min_size=1, max_size=4).filter(lambda name: not set(name) & set(b"/\0") and name not in (b".", b".."))
xattrs = st.dictionaries(st.binary(min_size=1, max_size=3), st.binary(max_size=3), max_size=2).map(
    lambda pairs: tuple(sorted(pairs.items()))
)
leaves = st.builds(
    lambda kind, mode, uid, mtime, content, pairs: (
        file(content, mode=mode, uid=uid, mtime=mtime, xattrs=pairs)
        if kind == FILE
        else Entry(
            b"", kind, mode, uid, 0, mtime, 0, "", b"to/" + content.hex().encode() if kind == LINK else b"", pairs
        )
    ),
    st.sampled_from([FILE, LINK, FIFO]),
    st.sampled_from([0o644, 0o4755, 0o7777, 0]),
    st.integers(0, 3),
    st.integers(-1, 3),
    st.binary(max_size=2),
    xattrs,
)
contents = st.recursive(st.just({}), lambda inner: st.dictionaries(names, leaves | inner, max_size=4), max_leaves=12)
roots = st.builds(
    lambda mode, uid: ROOT._replace(mode=mode, uid=uid), st.sampled_from([0o755, 0o700]), st.integers(0, 2)
)


def forest() -> MemoryTrees:
    """An empty place for trees."""
    return MemoryTrees()
