"""The merge of trees by path: what only one side changed is taken, and what both did is named."""

from __future__ import annotations

from hypothesis import given

from envbuild.merge.three_way import combine
from envbuild.tree.apply import apply
from envbuild.tree.diff import diff
from envbuild.tree.lookup import MemoryTrees, lookup, walk
from tests.tree.builders import ROOT, contents, file, link, roots, tree
from tests.tree.test_diff_apply import CountingTrees


def combined(base, ours, theirs):
    trees = MemoryTrees()
    sides = [tree(trees, content) for content in (base, ours, theirs)]
    result = combine(trees, *sides)
    names = [path.decode() for path, _ in walk(trees, result.tree)]
    return names, [collision.path.decode() for collision in result.collisions], trees, result


@given(contents, roots, contents, roots)
def test_a_side_that_changed_nothing_changes_nothing(a, a_root, b, b_root):
    trees = MemoryTrees()
    base, side = tree(trees, a, a_root), tree(trees, b, b_root)
    for merged in (
        combine(trees, base, side, base),
        combine(trees, base, base, side),
        combine(trees, base, side, side),
    ):
        assert merged.tree == side
        assert not merged.collisions


@given(contents, contents, contents)
def test_the_sides_may_be_exchanged(a, b, c):
    trees = MemoryTrees()
    base, ours, theirs = (tree(trees, content) for content in (a, b, c))
    there, back = combine(trees, base, ours, theirs), combine(trees, base, theirs, ours)
    assert [(c.path, c.base, c.ours, c.theirs) for c in there.collisions] == [
        (c.path, c.base, c.theirs, c.ours) for c in back.collisions
    ]
    if not there.collisions:
        assert there.tree == back.tree


@given(contents, contents, contents)
def test_changes_in_different_directories_go_together_in_any_order(a, b, c):
    trees = MemoryTrees()
    base = tree(trees, {b"x": a, b"y": a, b"z": a})
    ours, theirs = tree(trees, {b"x": b, b"y": a, b"z": a}), tree(trees, {b"x": a, b"y": c, b"z": a})
    merged = combine(trees, base, ours, theirs)
    assert not merged.collisions
    assert merged.tree == apply(trees, diff(trees, base, theirs), ours) == apply(trees, diff(trees, base, ours), theirs)


@given(contents, contents, contents)
def test_what_a_merge_has_is_of_a_side(a, b, c):
    trees = MemoryTrees()
    base, ours, theirs = (tree(trees, content) for content in (a, b, c))
    merged = combine(trees, base, ours, theirs)
    sides = {path for side in (ours, theirs) for path, _ in walk(trees, side)}
    assert {path for path, _ in walk(trees, merged.tree)} <= sides


def test_subtrees_that_one_side_left_alone_are_not_read():
    trees = CountingTrees()
    large = {b"%d" % n: {b"deep": {b"file": b"%d" % n}} for n in range(100)}
    base = tree(trees, {b"a": large, b"b": large, b"c": {b"x": b"1"}})
    ours = tree(trees, {b"a": {**large, b"0": {}}, b"b": large, b"c": {b"x": b"2"}})
    theirs = tree(trees, {b"a": large, b"b": {}, b"c": {b"x": b"1", b"y": b"3"}})
    trees.loaded.clear()
    assert not combine(trees, base, ours, theirs).collisions
    assert len(trees.loaded) == 6, "three roots, and three directories that both changed"


def test_what_a_removed_directory_got_stays_and_what_was_edited_in_it_is_a_collision():
    base = {b"d": {b"kept": b"1", b"edited": b"1", b"inner": {b"x": b""}}}
    theirs = {b"d": {b"kept": b"1", b"edited": b"2", b"new": b"3", b"inner": {b"x": b""}}}
    names, collisions, _, _ = combined(base, {}, theirs)
    assert (names, collisions) == (["d", "d/edited", "d/new"], ["d/edited"])


def test_a_directory_that_one_side_removed_is_gone_if_the_other_only_removed_in_it():
    names, collisions, _, _ = combined({b"d": {b"a": b"1", b"b": b"1"}}, {}, {b"d": {b"a": b"1"}})
    assert (names, collisions) == ([], [])


def test_a_time_keeps_no_file_and_the_newer_of_two_is_taken():
    base, touched = {b"a": file(b"1"), b"b": file(b"1")}, {b"a": file(b"1", mtime=5), b"b": file(b"1", mtime=5)}
    names, collisions, trees, result = combined(base, {b"b": file(b"1", mtime=7)}, touched)
    assert (names, collisions) == (["b"], [])
    assert lookup(trees, result.tree, b"b").mtime == 7


def test_attributes_are_merged_each_by_itself():
    base = {b"f": file(b"1", xattrs=((b"user.a", b"1"),))}
    ours = {b"f": file(b"1", mode=0o600, xattrs=((b"user.a", b"2"),))}
    theirs = {b"f": file(b"2", uid=5, gid=6, mtime=3, xattrs=((b"user.a", b"1"), (b"user.b", b"3")))}
    _, collisions, trees, result = combined(base, ours, theirs)
    entry = lookup(trees, result.tree, b"f")
    assert collisions == []
    assert (entry.mode, entry.uid, entry.gid, entry.mtime) == (0o600, 5, 6, 3)
    assert entry.digest == file(b"2").digest
    assert entry.xattrs == ((b"user.a", b"2"), (b"user.b", b"3"))


def test_kinds_modes_and_targets_collide():
    base = {b"kind": b"1", b"mode": b"", b"link": link(b"a"), b"dir": {b"x": b"1"}}
    ours = {b"kind": {b"x": b""}, b"mode": file(mode=0o600), b"link": link(b"b"), b"dir": {b"x": b"2"}}
    theirs = {b"kind": link(b"x"), b"mode": file(mode=0o755), b"link": link(b"c"), b"dir": link(b"elsewhere")}
    _, collisions, _, _ = combined(base, ours, theirs)
    assert collisions == ["dir", "kind", "link", "mode"]


def test_a_tree_deeper_than_the_stack_is_merged():
    def nested(leaf: bytes) -> dict:
        content = {b"f": leaf}
        for _ in range(900):
            content = {b"d": content}
        return content

    trees = MemoryTrees()

    def deep(leaf: bytes, root: dict[bytes, bytes]) -> str:
        digest = tree(trees, {b"f": leaf, **root}, None)
        for _ in range(3000):
            digest = tree(trees, {b"d": file()._replace(kind="d", mode=0o755, digest=digest), **root}, None)
        return digest

    merged = combine(trees, deep(b"1", {}), deep(b"2", {}), deep(b"1", {b"g": b""}))
    assert not merged.collisions
    assert merged.tree == deep(b"2", {b"g": b""})


def test_the_roots_own_attributes_are_merged():
    trees = MemoryTrees()
    base = tree(trees, {b"a": b""})
    ours, theirs = tree(trees, {b"a": b""}, ROOT._replace(mode=0o700)), tree(trees, {b"b": b""}, ROOT._replace(uid=3))
    merged = combine(trees, base, ours, theirs)
    assert merged.tree == tree(trees, {b"b": b""}, ROOT._replace(mode=0o700, uid=3))
