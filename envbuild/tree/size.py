"""How much is in a tree: its files and links, and their bytes."""

from __future__ import annotations

from envbuild.tree.diff import diff, expanded
from envbuild.tree.entry import DIRECTORY, FILE, Digest, Entry
from envbuild.tree.lookup import Trees, walk


def size_of(trees: Trees, tree: Digest) -> tuple[int, int]:
    """Return how many entries a tree has besides directories, and the bytes of its files."""
    count = total = 0
    for _, entry in walk(trees, tree):
        files, size = _of_entry(entry)
        count += files
        total += size
    return count, total


def size_difference(trees: Trees, a: Digest, b: Digest) -> tuple[int, int]:
    """Return by how much these two numbers of `b` are larger than those of `a`; what both have is not looked at."""
    count = total = 0
    for change in expanded(trees, diff(trees, a, b)):
        for sign, entry in ((-1, change.before), (1, change.after)):
            if entry is not None:
                files, size = _of_entry(entry)
                count += sign * files
                total += sign * size
    return count, total


def _of_entry(entry: Entry) -> tuple[int, int]:
    return int(entry.kind != DIRECTORY), entry.size if entry.kind == FILE else 0
