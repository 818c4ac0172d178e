"""A command's changes on another tree: the tree that it would leave there, or no answer."""

from __future__ import annotations

import pytest
from hypothesis import event, given
from hypothesis import strategies as st

from envbuild.build.changed_reads import first_changed
from envbuild.tree.diff import diff
from envbuild.tree.entry import DIRECTORY, Digest, Entry
from envbuild.tree.lookup import MemoryTrees, lookup
from envbuild.tree.rebase import Meets, Run, rebase
from envbuild.tree.times import SECOND
from tests.tree.builders import ROOT, file, tree
from tests.tree.machine import EPOCH, Machine, clock_of

PATHS = [b"a", b"b", b"d", b"d/a", b"d/x.html", b"d/e", b"d/e/a", b"f"]
TIMES = [0, 7 * SECOND, EPOCH * SECOND, (EPOCH + 1) * SECOND, (EPOCH + 3) * SECOND, (EPOCH + 450) * SECOND]
paths = st.sampled_from(PATHS)
places = st.sampled_from([*PATHS, b""])
contents = st.sampled_from([b"1", b"2"])
modes = st.sampled_from([0o644, 0o755, 0o700])
times = st.sampled_from(TIMES)
calls = st.lists(
    st.tuples(st.just("write"), paths, contents)
    | st.tuples(st.just("copy"), paths, paths, st.booleans())
    | st.tuples(st.just("mkdir"), paths)
    | st.tuples(st.just("remove"), paths)
    | st.tuples(st.just("change_mode"), paths, modes)
    | st.tuples(st.just("set_time"), places, times)
    | st.tuples(st.just("copy_time"), paths, paths)
    | st.tuples(st.just("list_into"), places, paths),
    min_size=1,
    max_size=6,
)
files = st.builds(lambda content, mtime: file(content, mtime=mtime), contents, times)
folders = times
trees_in_words = st.dictionaries(paths, files | folders, max_size=6)


def grown(trees: MemoryTrees, words: dict, root_time: int) -> Digest:
    """The tree with these files and directories, where they fit into each other."""
    inner: dict[bytes, dict[bytes, Entry]] = {b"": {}}
    kept: dict[bytes, Entry] = {}
    for path in sorted(words):
        above, _, name = path.rpartition(b"/")
        if above not in inner:
            continue
        word = words[path]
        if isinstance(word, int):
            inner[path] = {}
            kept[path] = Entry(name, DIRECTORY, 0o755, 0, 0, word)
        else:
            kept[path] = word._replace(name=name)
        inner[above][name] = kept[path]
    for path in sorted(inner, reverse=True):
        if path:
            above, _, name = path.rpartition(b"/")
            inner[above][name] = kept[path]._replace(digest=trees.save(inner[path].values()))
    return trees.save([*inner[b""].values(), ROOT._replace(mtime=root_time)])


def run(trees: MemoryTrees, parent: Digest, program: list):
    machine = Machine(trees, parent)
    for call, *arguments in program:
        if call == "copy":
            machine.copy(*arguments[:2], with_time=arguments[2])
        else:
            getattr(machine, call)(*arguments)
    return machine.leave()


@given(trees_in_words, times, trees_in_words, times, calls)
def test_a_rebased_run_leaves_what_a_run_leaves(words, root_time, changed, other_time, program):
    """`changed` is put over the first tree, so that the two have most in common."""
    trees = MemoryTrees()
    parent = grown(trees, words, root_time)
    onto = grown(trees, {**words, **changed}, other_time)
    result, touched, reads = run(trees, parent, program)
    if first_changed(reads, diff(trees, parent, onto)) is not None:
        event("it reads what differs")
        return
    again, _, _ = run(trees, onto, program)
    was = Run(parent, result, touched, clock_of(trees, parent))
    try:
        rebased = rebase(trees, was, onto, clock_of(trees, onto), lambda old, new: new)
    except Meets as meets:
        event(f"it meets what differs: {meets.path!r}"[:40])
        return
    event("it is rebased")
    assert rebased == again


def rebased(before: dict, after: dict, program: list) -> dict[bytes, Entry]:
    """What `program` leaves on the tree `after`, found by its run on `before`."""
    trees = MemoryTrees()
    parent, onto = tree(trees, before), tree(trees, after)
    result, touched, _ = run(trees, parent, program)
    made = rebase(trees, Run(parent, result, touched, clock_of(trees, parent)), onto, clock_of(trees, onto), keep_new)
    again, _, _ = run(trees, onto, program)
    assert made == again
    return {path: entry for path in PATHS if (entry := lookup(trees, made, path)) is not None}


def keep_new(old: Entry, new: Entry) -> Entry:
    return new


LATE = file(b"late", mtime=(EPOCH + 7) * SECOND)


def test_what_a_command_writes_has_the_time_that_it_would_have_on_a_later_tree():
    left = rebased({b"f": b"1"}, {b"f": LATE}, [("write", b"a", b"1"), ("mkdir", b"d"), ("write", b"d/a", b"2")])
    assert left[b"a"].mtime == left[b"d/a"].mtime == (EPOCH + 8) * SECOND
    assert left[b"f"] == LATE._replace(name=b"f")


def test_a_time_that_was_set_on_purpose_stays():
    program = [("write", b"a", b"1"), ("set_time", b"a", 7 * SECOND)]
    assert rebased({}, {b"f": LATE}, program)[b"a"].mtime == 7 * SECOND


def test_a_directory_gets_the_time_that_a_new_name_gives_it_though_it_had_that_before():
    old = Entry(b"", DIRECTORY, 0o755, 0, 0, EPOCH * SECOND, digest=tree(MemoryTrees(), {}, None))
    trees = MemoryTrees()
    parent, onto = (
        trees.save([ROOT, old._replace(name=b"d", mtime=mtime, digest=tree(trees, {}, None))])
        for mtime in (EPOCH * SECOND, 7 * SECOND)
    )
    result, touched, _ = run(trees, parent, [("write", b"d/a", b"1")])
    was = Run(parent, result, touched, clock_of(trees, parent))
    made = rebase(trees, was, onto, clock_of(trees, onto), keep_new)
    assert lookup(trees, made, b"d").mtime == EPOCH * SECOND


@pytest.mark.parametrize(
    ("before", "after", "program", "path"),
    [
        pytest.param({b"a": b"1"}, {b"a": b"2"}, [("write", b"a", b"3")], b"a", id="written by both"),
        pytest.param({b"a": b"1"}, {b"a": b"2"}, [("write", b"a", b"1")], b"a", id="written as it was"),
        pytest.param({b"a": b"1"}, {}, [("change_mode", b"a", 0o700)], b"a", id="removed"),
        pytest.param(
            {b"d": {b"a": b"1"}}, {b"d": {b"a": b"2"}}, [("remove", b"d/a"), ("remove", b"d")], b"d/a",
            id="changed in what was removed",
        ),
        pytest.param({b"d": {}}, {b"d": b"file"}, [("write", b"d/a", b"1")], b"d", id="no directory any more"),
        pytest.param({}, {b"tmp": {b"a": b"1"}}, [("write", b"a", b"1")], b"tmp", id="files in /tmp"),
        pytest.param(
            {b"a": LATE}, {b"a": LATE, b"f": LATE._replace(mtime=LATE.mtime + SECOND)}, [("write", b"a", b"late")], b"",
            id="a time that it kept as nothing was later",
        ),
        pytest.param(
            {}, {b"f": LATE}, [("write", b"a", b"1"), ("set_time", b"a", (EPOCH + 5) * SECOND)], b"",
            id="a time on purpose that may stay on a later tree",
        ),
    ],
)  # fmt: skip
def test_there_is_no_answer_where_both_touch_a_path_or_a_time_is_not_known(before, after, program, path):
    trees = MemoryTrees()
    parent, onto = tree(trees, before), tree(trees, after)
    result, touched, _ = run(trees, parent, program)
    was = Run(parent, result, touched, clock_of(trees, parent))
    with pytest.raises(Meets) as caught:
        rebase(trees, was, onto, clock_of(trees, onto), keep_new)
    assert caught.value.path == path


def test_what_nothing_changed_in_is_not_read():
    class Counting(MemoryTrees):
        loaded = 0

        def load(self, digest):
            self.loaded += 1
            return super().load(digest)

    trees = Counting()
    large = {b"%d" % number: {b"x": b""} for number in range(200)}
    parent, onto = tree(trees, {b"large": large, b"f": b"1"}), tree(trees, {b"large": large, b"f": b"2"})
    result, touched, _ = run(trees, parent, [("write", b"a", b"1")])
    clock = clock_of(trees, parent)
    trees.loaded = 0
    rebase(trees, Run(parent, result, touched, clock), onto, clock, keep_new)
    assert trees.loaded < 10
