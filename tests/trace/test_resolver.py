"""From the paths that a step named to what it read of its parent tree."""

import os
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from envbuild.trace.observed import (
    FOLLOW,
    LINK_ALONE,
    LINKED,
    MOVED,
    OPENED,
    BadObservation,
    Event,
    Observed,
    dump,
    load,
)
from envbuild.trace.reads import ABSENT, ATTRIBUTES, CONTENT, LISTING, RIGHTS, parse
from envbuild.trace.reads import dump as dump_reads
from envbuild.trace.resolver import Mount, resolve
from envbuild.tree.lookup import MemoryTrees
from tests.tree.builders import link, tree

OPEN, STAT = CONTENT | OPENED | FOLLOW, ATTRIBUTES | FOLLOW
TREE = {
    b"etc": {b"conf": b"1", b"link": link(b"conf"), b"up": link(b"../usr"), b"loop": link(b"loop")},
    b"lib": link(b"usr/lib"),
    b"usr": {b"lib": {b"a": b"1", b"b": link(b"/etc/link")}},
    b"tmp": {},
}


def read(*events, mounts=(), floor=b"", **more):
    trees = MemoryTrees()
    events = [event if isinstance(event, Event) else Event(event[0], floor, *event[1:]) for event in events]
    return resolve(Observed(tuple(events), **more), trees, tree(trees, TREE), mounts)


def paths(*events, **options):
    reads = read(*events, **options)
    assert reads.untraceable == ""
    assert parse(dump_reads(reads)) == reads
    return reads.paths


@pytest.mark.parametrize(
    ("event", "expected"),
    [
        ((OPEN, b"/etc/conf"), {b"etc/conf": CONTENT}),
        ((OPEN, b"//etc/./conf"), {b"etc/conf": CONTENT}),
        ((OPEN, b"/etc"), {b"etc": CONTENT | LISTING}),
        ((OPEN, b"/"), {b"": CONTENT | LISTING}),
        ((STAT, b"/../.."), {b"": ATTRIBUTES}),
        ((STAT, b"/etc/.."), {b"": ATTRIBUTES}),
        ((STAT, b"/lib/b"), {b"lib": CONTENT, b"usr/lib/b": CONTENT, b"etc/link": CONTENT, b"etc/conf": ATTRIBUTES}),
        ((ATTRIBUTES, b"/lib/b"), {b"lib": CONTENT, b"usr/lib/b": ATTRIBUTES}),
        ((ATTRIBUTES, b"/lib/"), {b"lib": CONTENT, b"usr/lib": ATTRIBUTES}),
        ((ATTRIBUTES, b"/lib/."), {b"lib": CONTENT, b"usr/lib": ATTRIBUTES}),
        ((STAT, b"/etc/up/lib/a"), {b"etc/up": CONTENT, b"usr/lib/a": ATTRIBUTES}),
        ((STAT, b"/lib/../lib/a"), {b"lib": CONTENT, b"usr/lib/a": ATTRIBUTES}),
        ((STAT, b"/no/such/../file"), {b"no": ABSENT}),
        ((STAT, b"/etc/conf/x/y"), {b"etc/conf": RIGHTS}),
        ((STAT, b"/etc/loop/x"), {b"etc/loop": CONTENT}),
        ((CONTENT | LINK_ALONE, b"/lib"), {b"lib": CONTENT}),
        ((CONTENT | LINK_ALONE, b"/etc/conf"), {b"etc/conf": RIGHTS}),
        ((RIGHTS | LISTING, b"/etc/conf"), {b"etc/conf": RIGHTS}),
        ((STAT, b"/etc/" + b"n" * 300), {}),
    ],
)
def test_where_a_path_leads(event, expected):
    assert paths(event) == expected


def test_accesses_of_one_path_add_up():
    assert paths((STAT, b"/etc/conf"), (OPEN, b"/etc/link")) == {
        b"etc/conf": ATTRIBUTES | CONTENT,
        b"etc/link": CONTENT,
    }


def test_a_root_of_its_own_is_the_end_of_dots_and_the_start_of_links():
    assert paths((STAT, b"/usr/../../lib/b"), floor=b"/usr") == {
        b"usr/lib/b": CONTENT,
        b"usr/etc": ABSENT,
    }
    assert paths((STAT, b"/etc/../../conf"), floor=b"/usr") == {b"conf": ABSENT}


def test_mounts_hide_the_tree(tmp_path):
    (tmp_path / "link").symlink_to("/etc/link")
    (tmp_path / "near").symlink_to("far")
    mounts = (Mount(b"proc"), Mount(b"etc/none"), Mount(b"mnt", os.fsencode(tmp_path)))
    assert paths((STAT, b"/proc/self/fd/1"), (STAT, b"/etc/none/x"), (OPEN, b"/mnt/near"), mounts=mounts) == {
        # What is looked for in order to mount something there.
        b"proc": ABSENT,
        b"mnt": ABSENT,
        b"etc/none": ABSENT,
    }
    seen = paths((OPEN, b"/mnt/link"), (STAT, b"/mnt/../etc"), mounts=mounts)
    assert (seen[b"etc/link"], seen[b"etc/conf"], seen[b"etc"]) == (CONTENT, CONTENT, ATTRIBUTES)


def test_a_mount_behind_a_link_of_the_tree_is_where_that_leads(tmp_path):
    (tmp_path / "link").symlink_to("/etc/link")
    mounts = (Mount(b"lib/in", os.fsencode(tmp_path)),)
    for path in (b"/lib/in/link", b"/usr/lib/in/link"):
        assert paths((OPEN, path), mounts=mounts)[b"etc/conf"] == CONTENT


class TestLinksOfTheStep:
    def test_what_is_behind_them_counts_whenever_they_were_there(self):
        made = (LINKED, b"/new", b"/etc/link")
        assert paths((OPEN, b"/new"), made) == {b"new": ABSENT, b"etc/link": CONTENT, b"etc/conf": CONTENT}

    def test_they_are_followed_where_they_were_moved_and_in_what_was_moved(self):
        moved = paths(
            (LINKED, b"/tmp/x/l", b"/usr"),
            (MOVED, b"/tmp/x", b"/tmp/y"),
            (MOVED, b"/tmp/y/l", b"/z"),
            (OPEN, b"/z/lib/a"),
            (OPEN, b"/tmp/y/l/lib/b"),
            (MOVED, b"/lib", b"/old"),
            (STAT, b"/old/c"),
        )
        assert moved[b"usr/lib/a"] == moved[b"etc/conf"] == CONTENT
        assert moved[b"usr/lib/c"] == ABSENT

    def test_in_mounts_they_lead_back(self):
        assert paths((LINKED, b"/tmp/l", b"../etc"), (STAT, b"/tmp/l/conf"), mounts=(Mount(b"tmp"),)) == {
            b"etc/conf": ATTRIBUTES
        }

    def test_as_many_as_a_hostile_step_likes_take_little_time(self):
        began = time.process_time()
        names = [b"/l%d" % number for number in range(60)]
        many = [(LINKED, name, other + b"/x") for name in names for other in names]
        assert read(*many, (STAT, b"/l0/a/b")).untraceable
        moves = [(MOVED, b"/l%d" % number, b"/l%d" % (number + 1)) for number in reversed(range(3000))]
        assert read((LINKED, b"/l0", b"/etc"), *moves).untraceable
        deeper = [(LINKED, b"/d/l", b"/etc"), (MOVED, b"/d", b"/d/d")]
        assert read(*deeper, (STAT, b"/d/l")).untraceable in ("", "moves links about too often to follow")
        assert time.process_time() - began < 60


@pytest.mark.parametrize(
    ("path", "clear"),
    [
        (b"/proc/self/root/etc/conf", True),
        (b"/proc/1/cwd/etc", False),
        (b"/proc/self/fd/3/conf", False),
        (b"/proc/self/task/5/fd/3/conf", False),
        (b"/proc/self/fd/3", True),
        (b"/dev/fd/3/conf", False),
        (b"/dev/fd/3", True),
        (b"/proc/5/mem", False),
    ],
)
def test_views_of_processes(path, clear):
    reads = read((OPEN, path), mounts=(Mount(b"proc"), Mount(b"dev")))
    assert (reads.untraceable == "") == clear
    assert reads.paths.get(b"etc/conf", 0) == (CONTENT if path.endswith(b"root/etc/conf") else 0)


def test_what_the_tracer_could_not_follow_stays_so():
    assert read((OPEN, b"/etc/conf"), untraceable="is odd").untraceable == "is odd"


EVENTS = st.builds(
    Event,
    st.integers(0, 1023),
    st.sampled_from([b"", b"/usr"]),
    st.lists(st.sampled_from([b"etc", b"usr", b"lib", b"..", b"x", b"link", b"up", b"tmp"]), max_size=6).map(
        lambda names: b"/" + b"/".join(names)
    ),
    st.sampled_from([b"", b"/etc", b"../usr", b"link", b"/x/..", b"/tmp"]),
)


@given(st.lists(EVENTS, max_size=12), st.text(alphabet=st.characters(codec="utf-8", exclude_characters="\0")))
def test_observations_come_back_and_always_resolve(events, reason):
    observed = Observed(tuple(events), reason)
    assert load(dump(observed)) == observed
    reads = read(*events)
    assert parse(dump_reads(reads)) == reads


@pytest.mark.parametrize("data", [b"", b"x", b"\0a", b"\0x\0\0\0", b"\0400000\0\0/a\0\0", b"\0-1\0\0\0\0", b"\xff\0"])
def test_nothing_else_is_an_observation(data):
    with pytest.raises(BadObservation):
        load(data)
