"""How much is in a tree, counted whole or on from a tree like it."""

from __future__ import annotations

from hypothesis import given

from envbuild.tree.lookup import MemoryTrees
from envbuild.tree.size import size_difference, size_of
from tests.tree.builders import contents, link, roots, tree


def test_directories_are_no_files_and_links_have_no_bytes():
    trees = MemoryTrees()
    assert size_of(trees, tree(trees, {b"a": {b"b": b"12", b"c": {}}, b"d": link(b"a/b"), b"e": b"345"})) == (3, 5)


@given(contents, roots, contents, roots)
def test_counting_on_from_any_other_tree_gives_the_same(a, a_root, b, b_root):
    trees = MemoryTrees()
    smaller, other = tree(trees, a, a_root), tree(trees, b, b_root)
    files, size = size_of(trees, smaller)
    more_files, more = size_difference(trees, smaller, other)
    assert (files + more_files, size + more) == size_of(trees, other)
