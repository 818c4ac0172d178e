"""Edits: how copied files, written files and accounts get into a tree."""

from __future__ import annotations

import pytest

from envbuild.tree.apply import Edit, NotADirectory, edit
from envbuild.tree.entry import DIRECTORY, Entry
from envbuild.tree.lookup import LinkCircle, MemoryTrees, lookup, real_path, resolve
from tests.tree.builders import file, link, paths, tree


def directory(trees, content, **attributes):
    entry = Entry(b"", DIRECTORY, 0o755, 0, 0, 0, 0, tree(trees, content, None))
    return entry._replace(**attributes)


def test_missing_directories_are_made_with_the_time_given():
    trees = MemoryTrees()
    after = edit(trees, tree(trees, {}), [Edit(b"srv/app/main.py", file(b"x"))], 7)
    assert paths(trees, after) == [b"srv", b"srv/app", b"srv/app/main.py"]
    made = lookup(trees, after, b"srv/app")
    assert (made.kind, made.mode, made.uid, made.gid, made.mtime) == (DIRECTORY, 0o755, 0, 0, 7)


def test_a_directory_is_merged_into_one_that_is_there():
    trees = MemoryTrees()
    before = tree(trees, {b"app": {b"old": b"1", b"both": b"1", b"sub": {b"a": b""}}})
    put = directory(trees, {b"new": b"2", b"both": b"2", b"sub": {b"b": b""}}, mode=0o700)
    after = edit(trees, before, [Edit(b"app", put)], 0)
    assert paths(trees, after) == [b"app", b"app/both", b"app/new", b"app/old", b"app/sub", b"app/sub/a", b"app/sub/b"]
    assert lookup(trees, after, b"app/both").digest == file(b"2").digest
    assert lookup(trees, after, b"app").mode == 0o700


def test_a_directory_replaces_another_when_told_to():
    trees = MemoryTrees()
    before = tree(trees, {b"app": {b"old": b"1"}})
    after = edit(trees, before, [Edit(b"app", directory(trees, {b"new": b""}), replace_whole=True)], 0)
    assert paths(trees, after) == [b"app", b"app/new"]


def test_later_edits_see_earlier_ones():
    trees = MemoryTrees()
    edits = [
        Edit(b"a", directory(trees, {b"x": b"1", b"y": b"1"})),
        Edit(b"a/x", file(b"2")),
        Edit(b"a/y", None),
        Edit(b"a/z", file(b"3")),
    ]
    after = edit(trees, tree(trees, {}), edits, 0)
    assert paths(trees, after) == [b"a", b"a/x", b"a/z"]
    assert lookup(trees, after, b"a/x").digest == file(b"2").digest


def test_removing_what_is_not_there_changes_nothing():
    trees = MemoryTrees()
    before = tree(trees, {b"a": b""})
    assert edit(trees, before, [Edit(b"x/y/z", None), Edit(b"b", None), Edit(b"a/below", None)], 0) == before


@pytest.mark.parametrize(
    ("path", "put"),
    [(b"file/below", "file"), (b"dir", "file"), (b"file", "directory"), (b"link/below", "file")],
)
def test_what_does_not_fit_is_refused_with_its_path(path, put):
    trees = MemoryTrees()
    before = tree(trees, {b"file": b"", b"dir": {}, b"link": link(b"dir")})
    entry = file() if put == "file" else directory(trees, {})
    with pytest.raises(NotADirectory) as refused:
        edit(trees, before, [Edit(path, entry)], 0)
    assert "/" + path.split(b"/")[0].decode() in refused.value.message


def test_paths_lead_through_links_inside_the_tree_only():
    trees = MemoryTrees()
    root = tree(
        trees,
        {
            b"bin": link(b"usr/bin"),
            b"usr": {b"bin": {b"sh": link(b"/bin/dash"), b"dash": b"#!"}},
            b"up": link(b"../../../../usr"),
        },
    )
    assert resolve(trees, root, b"bin/sh")[0] == b"usr/bin/dash"
    assert resolve(trees, root, b"/bin/sh", follow=False)[0] == b"usr/bin/sh"
    assert resolve(trees, root, b"up/bin/../bin/dash")[0] == b"usr/bin/dash"
    assert real_path(trees, root, b"bin/new/file") == (b"usr/bin", b"new/file")
    assert real_path(trees, root, b"usr/bin/dash/below") == (b"usr/bin/dash", b"below")
    assert resolve(trees, root, b"nowhere") is None


def test_links_that_lead_in_a_circle_are_an_error_with_the_path():
    trees = MemoryTrees()
    root = tree(trees, {b"a": link(b"b"), b"b": link(b"a")})
    with pytest.raises(LinkCircle, match="/a/x"):
        lookup(trees, root, b"a/x")


def test_a_tree_may_be_as_deep_as_a_path_can_be():
    trees = MemoryTrees()
    deep = b"/".join([b"d"] * 2000)
    after = edit(trees, tree(trees, {}), [Edit(deep, file(b"x"))], 0)
    assert lookup(trees, after, deep).digest == file(b"x").digest
