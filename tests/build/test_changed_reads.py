"""Which of a step's reads another tree changes."""

from __future__ import annotations

import pytest

from envbuild.build.changed_reads import first_changed
from envbuild.trace.reads import ABSENT, ATTRIBUTES, CONTENT, LISTING, RIGHTS, Reads
from envbuild.tree.diff import diff
from envbuild.tree.lookup import MemoryTrees
from tests.tree.builders import ROOT, file, link, tree

BEFORE = {b"bin": {b"sh": b"1"}, b"lib": {b"a.so": b"1", b"b.so": b"2"}, b"to": link(b"lib/a.so"), b"r": {b"x": {}}}


def changed(after: dict, *, root=ROOT, **reads: int) -> str:
    """The text for the first changed read; `reads` are by path, with _ for a slash."""
    trees = MemoryTrees()
    paths = {path.replace("_", "/").encode(): access for path, access in reads.items()}
    moved = diff(trees, tree(trees, BEFORE), tree(trees, {**BEFORE, **after}, root))
    changed_read = first_changed(Reads(dict(sorted(paths.items()))), moved)
    return "" if changed_read is None else changed_read.text


NEW_LIBRARY = {b"lib": {b"a.so": b"3", b"b.so": b"2"}}
LATER_LIBRARY = {b"lib": {b"a.so": file(b"1", mtime=7), b"b.so": b"2"}}
MORE = {b"lib": {**BEFORE[b"lib"], b"c.so": b""}}
LESS = {b"lib": {b"a.so": b"1"}}


@pytest.mark.parametrize(
    ("after", "reads", "text"),
    [
        (NEW_LIBRARY, {"lib_b.so": CONTENT, "bin_sh": CONTENT}, ""),
        (NEW_LIBRARY, {"lib_a.so": CONTENT}, "it reads /lib/a.so, whose content changed"),
        (NEW_LIBRARY, {"lib_a.so": RIGHTS}, ""),
        (NEW_LIBRARY, {"lib_a.so": ATTRIBUTES}, ""),
        (NEW_LIBRARY, {"lib": LISTING}, ""),
        (LATER_LIBRARY, {"lib_a.so": RIGHTS}, ""),
        (LATER_LIBRARY, {"lib_a.so": ATTRIBUTES}, "it reads /lib/a.so, whose time changed"),
        (LATER_LIBRARY, {"lib_a.so": CONTENT}, "it reads /lib/a.so, whose time changed"),
        (MORE, {"lib": LISTING}, "it lists /lib, in which 'c.so' is new"),
        (MORE, {"lib_c.so": ABSENT}, "it looks for /lib/c.so, which is there now"),
        (MORE, {"lib": ATTRIBUTES, "lib_d.so": ABSENT}, ""),
        (LESS, {"lib": LISTING}, "it lists /lib, in which 'b.so' is gone"),
        (LESS, {"lib_b.so": RIGHTS}, "it reads /lib/b.so, which is gone"),
        ({b"to": link(b"lib/b.so")}, {"to": RIGHTS}, ""),
        ({b"to": link(b"lib/b.so")}, {"to": ATTRIBUTES}, ""),
        ({b"to": link(b"lib/b.so")}, {"to": CONTENT}, "it reads /to, whose target changed"),
        ({b"to": link(b"lib")}, {"to": ATTRIBUTES}, "it reads /to, whose target changed"),
        ({b"lib": link(b"usr/lib")}, {"lib_x": ABSENT}, "it looks for /lib/x, and /lib is a link now"),
        ({b"r": b""}, {"r_x": RIGHTS}, "it reads /r/x, and /r is a file now"),
    ],
)
def test_what_was_asked_decides(after, reads, text):
    assert changed(after, **reads) == text


def test_rights_of_the_directories_above_are_read_too():
    strict = ROOT._replace(mode=0o700)
    assert changed({}, root=strict, bin_sh=CONTENT) == "it reads /bin/sh, and what / may be searched by changed"
    assert changed({}, root=ROOT._replace(mtime=9), bin_sh=CONTENT) == ""
