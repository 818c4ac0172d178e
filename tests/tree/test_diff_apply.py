"""diff finds what differs, apply puts it on, and neither looks at what is equal."""

from __future__ import annotations

import pytest
from hypothesis import given

from envbuild.tree.apply import apply
from envbuild.tree.diff import diff
from envbuild.tree.entry import ROOT_NAME, decode, decode_differing
from envbuild.tree.lookup import MemoryTrees, entries_differing, walk
from tests.tree.builders import ROOT, contents, file, roots, tree


class CountingTrees(MemoryTrees):
    """Says which directories were loaded."""

    def __init__(self):
        super().__init__()
        self.loaded = []

    def load(self, digest):
        self.loaded.append(digest)
        return super().load(digest)


@given(contents, roots, contents, roots)
def test_applying_a_diff_gives_the_other_tree(a, a_root, b, b_root):
    trees = MemoryTrees()
    before_tree, other = tree(trees, a, a_root), tree(trees, b, b_root)
    assert apply(trees, diff(trees, before_tree, other), before_tree) == other


@given(contents)
def test_equal_trees_have_equal_digests_and_no_diff(content):
    trees, others = MemoryTrees(), MemoryTrees()
    assert tree(trees, content) == tree(others, content)
    assert not list(diff(trees, tree(trees, content), tree(trees, content)))


def test_a_change_names_what_was_and_what_is():
    trees = MemoryTrees()
    before = tree(trees, {b"etc": {b"a": b"1", b"b": b"2"}, b"gone": {b"deep": {b"x": b""}}})
    after = tree(trees, {b"etc": {b"a": b"1", b"b": b"3", b"c": b"4"}})
    changes = {change.path: change for change in diff(trees, before, after)}
    assert sorted(changes) == [b"etc/b", b"etc/c", b"gone"]
    assert changes[b"etc/b"].before.digest == file(b"2").digest
    assert changes[b"etc/b"].after.digest == file(b"3").digest
    assert changes[b"etc/c"].before is None
    assert changes[b"gone"].after is None, "a removed directory is one change"


def test_attributes_of_the_root_and_of_directories_are_changes_of_their_own():
    trees = MemoryTrees()
    before = tree(trees, {b"d": {b"x": b""}})
    inner = {b"d": file()._replace(kind="d", mode=0o700, digest=tree(trees, {b"x": b""}, None))}
    after = tree(trees, inner, ROOT._replace(mode=0o711))
    assert [change.path for change in diff(trees, before, after)] == [ROOT_NAME, b"d"]
    assert apply(trees, diff(trees, before, after), before) == after


def test_equal_subtrees_are_not_looked_at():
    trees = CountingTrees()
    big = {b"%d" % n: {b"file": b"%d" % n} for n in range(50)}
    before = tree(trees, {**big, b"x": {b"y": {b"z": b"1"}}})
    after = tree(trees, {**big, b"x": {b"y": {b"z": b"2"}}})
    trees.loaded.clear()
    changes = list(diff(trees, before, after))
    assert len(trees.loaded) == 6
    trees.loaded.clear()
    apply(trees, changes, before)
    assert len(trees.loaded) == 3


@given(contents)
def test_a_walk_gives_parents_first_and_never_the_roots_own_entry(content):
    trees = MemoryTrees()
    seen = set()
    for path, entry in walk(trees, tree(trees, content)):
        parent = path.rpartition(b"/")[0]
        assert parent == b"" or parent in seen
        assert entry.name == path.rpartition(b"/")[2]
        seen.add(path)
    assert ROOT_NAME not in seen


@given(contents, contents)
def test_what_differs_between_two_directories_is_the_same_decoded_or_not(a, b):
    trees = MemoryTrees()
    bodies = [trees.bodies[tree(trees, content)] for content in (a, b)]
    assert decode_differing(*bodies) == entries_differing(*map(decode, bodies))


@pytest.mark.parametrize("body", [b"f 644 0 0 0 0 - a", b"f 644 0 0 0 0 - ..\0x\0", b"f 9 0 0 0 0 - a\0x\0"])
def test_a_directory_that_is_none_differs_from_nothing(body):
    for sides in ((body, b""), (b"", body)):
        with pytest.raises(ValueError, match=r"cut short|can't be a name|invalid literal"):
            decode_differing(*sides)
