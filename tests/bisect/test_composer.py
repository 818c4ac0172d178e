"""Candidates: what is selected is as in the bad tree, the rest as in the good one."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from envbuild.bisect.composer import CandidateTrees, Composer
from envbuild.bisect.differences import FactPart, PathPart, PiecePart, StanzaPart
from envbuild.bisect.grouping import implied_paths
from envbuild.bisect.pieces import pieces_of
from envbuild.bisect.status_stanzas import status_changes
from envbuild.tree.diff import diff, expanded
from envbuild.tree.entry import DIRECTORY, ROOT_NAME
from envbuild.tree.lookup import MemoryTrees, lookup, walk
from tests.tree.builders import contents, file, roots, tree


class MemoryContents:
    """The contents of files in memory."""

    def __init__(self, *known):
        self.of = {file(content).digest: content for content in known}

    def add(self, entry, source):
        stored = file(source)
        self.of[stored.digest] = source
        return entry._replace(digest=stored.digest, size=stored.size)

    def alter(self, old, new):
        return new._replace(digest=old.digest, size=old.size)

    def read(self, entry):
        return self.of[entry.digest]


def parts_between(trees, good, bad):
    changes = sorted(expanded(trees, diff(trees, good, bad)), key=lambda change: change.path)
    implied = set(implied_paths(changes))
    return [PathPart(*change) for change in changes if change.path not in implied]


def composed(trees, good, bad, parts, facts=None, **more):
    candidates = CandidateTrees(trees)
    return candidates, Composer(candidates, (good, bad), facts or {}, parts, contents=MemoryContents(), **more)


@given(contents, roots, contents, roots, st.integers(0))
def test_each_part_is_as_it_was_or_as_it_is(a, a_root, b, b_root, drawn):
    trees = MemoryTrees()
    good, bad = tree(trees, a, a_root), tree(trees, b, b_root)
    parts = parts_between(trees, good, bad)
    candidates, composer = composed(trees, good, bad, parts)
    assert composer.tree(0) == good
    everything = (1 << len(parts)) - 1
    assert not parts or composer.tree(everything) == bad
    selection = drawn & everything
    paths = dict(walk(candidates, composer.tree(selection)))
    paths[ROOT_NAME] = lookup(candidates, composer.tree(selection), b"")
    for number, part in enumerate(parts):
        chosen = part.after if selection >> number & 1 else part.before
        have = paths.get(part.path)
        if chosen is None:
            # Something else may need a directory of this name.
            assert have is None or have.kind == DIRECTORY
        elif part.path == ROOT_NAME or chosen.kind == DIRECTORY:
            assert (have.kind, have.mode, have.uid) == (chosen.kind, chosen.mode, chosen.uid)
        else:
            assert have == chosen
    same = dict(walk(trees, good)).items() & dict(walk(trees, bad)).items()
    assert {path for path, entry in same if entry.kind != DIRECTORY} <= paths.keys()


@given(contents, contents, st.integers(0))
def test_a_tree_is_the_same_however_it_was_come_by(a, b, drawn):
    trees = MemoryTrees()
    good, bad = tree(trees, a), tree(trees, b)
    parts = parts_between(trees, good, bad)
    selection = drawn & ((1 << len(parts)) - 1)
    _, first = composed(trees, good, bad, parts)
    for other in range(min(8, selection)):
        first.tree(other)
    _, second = composed(trees, good, bad, parts)
    assert first.tree(selection) == second.tree(selection)


def test_only_what_is_kept_reaches_the_store():
    trees = MemoryTrees()
    good = tree(trees, {b"a": {b"x": b"1", b"y": b"1"}, b"b": {b"x": b"1"}})
    bad = tree(trees, {b"a": {b"x": b"2", b"y": b"2"}, b"b": {b"x": b"2"}})
    before = set(trees.bodies)
    candidates, composer = composed(trees, good, bad, parts_between(trees, good, bad))
    kept = composer.tree(0b001)
    composer.tree(0b010)
    assert set(trees.bodies) == before
    candidates.keep(kept)
    assert dict(walk(trees, kept))[b"a/x"].digest == file(b"2").digest


def test_facts_are_put_on_one_by_one():
    facts = {"env": {"A": "1", "OLD": "x"}, "user": "web"}
    parts = [FactPart("env.A", "1", "2"), FactPart("env.OLD", "x", None), FactPart("workdir", None, "/srv")]
    trees = MemoryTrees()
    root = tree(trees, {})
    _, composer = composed(trees, root, root, parts, facts)
    assert composer.facts(0) == facts
    assert composer.facts(0b101) == {"env": {"A": "2", "OLD": "x"}, "user": "web", "workdir": "/srv"}
    assert composer.facts(0b010) == {"env": {"A": "1"}, "user": "web"}


def status(*packages):
    return "".join(f"Package: {name}\nArchitecture: all\nVersion: {version}\n\n" for name, version in packages)


def test_dpkg_status_has_the_stanzas_that_are_selected():
    old, new = status(("a", 1), ("b", 1), ("gone", 1), ("z", 1)), status(("a", 2), ("b", 2), ("more", 1), ("z", 1))
    trees = MemoryTrees()
    good, bad = (tree(trees, {b"var": {b"lib": {b"dpkg": {b"status": text.encode()}}}}) for text in (old, new))
    changes = status_changes(old, new)
    assert changes.changed == ("a:all", "b:all", "gone:all", "more:all")
    parts = [StanzaPart(name, changes.old.get(name, ""), changes.new.get(name, "")) for name in changes.changed]
    texts = MemoryContents()
    candidates = CandidateTrees(trees)
    composer = Composer(candidates, (good, bad), {}, parts, status=changes, contents=texts)
    assert (composer.tree(0), composer.tree(0b1111)) == (good, bad)
    entry = lookup(candidates, composer.tree(0b1010), b"var/lib/dpkg/status")
    assert texts.read(entry).decode() == status(("a", 1), ("b", 2), ("gone", 1), ("more", 1), ("z", 1))


def test_a_status_that_can_not_be_taken_apart_is_one_part():
    for text in (status(("a", 1), ("a", 2)), "Package: a\nnonsense\n\n", " continued\n"):
        assert status_changes(status(("a", 1)), text) is None


@given(
    st.lists(st.sampled_from([b"a\n", b"b\n", b"c\n", b"\xff\n"]), max_size=12),
    st.lists(st.sampled_from([b"a\n", b"b\n", b"c\n", b"d"]), max_size=12),
    st.integers(0),
)
def test_a_file_is_put_together_of_its_pieces(old, new, drawn):
    before, after = b"".join(old), b"".join(new)
    texts = MemoryContents(before, after)
    entries = file(before, name=b"f", mtime=1), file(after, name=b"f", mode=0o4755, mtime=2)
    pieces = pieces_of(texts, *entries)
    parts = pieces.parts(b"f")
    trees = MemoryTrees()
    good, bad = (tree(trees, {b"f": entry}) for entry in entries)
    candidates = CandidateTrees(trees)
    composer = Composer(candidates, (good, bad), {}, [PathPart(b"f", *entries)], contents=texts)
    composer.split(b"f", dict(enumerate(parts, 1)), pieces)
    everything = (1 << len(parts)) - 1 << 1
    assert composer.tree(0) == good
    assert lookup(candidates, composer.tree(everything), b"f") == entries[1]
    selection = drawn & everything
    entry = lookup(candidates, composer.tree(selection), b"f")
    chosen = [part for number, part in enumerate(parts) if selection >> number + 1 & 1]
    assert (entry.mode == 0o4755) == (PiecePart(b"f", "mode") in chosen)
    hunks = [part for part in parts if part.aspect == "content"]
    if not set(hunks) & set(chosen):
        assert texts.read(entry) == before
    elif set(hunks) <= set(chosen):
        assert texts.read(entry) == after


def test_lines_are_taken_apart_and_other_files_are_not():
    lines = [b"%d\n" % n for n in range(30)]
    changed = [*lines]
    changed[3], changed[20] = b"three\n", b"twenty\n"
    before, after = b"".join(lines), b"".join(changed)
    texts = MemoryContents(before, after, b"\0" + before, b"\0" + after)
    pieces = pieces_of(texts, file(before), file(after))
    assert [part.hunk for part in pieces.parts(b"f")] == [0, 1]
    assert pieces.lines(1) == (21, ["20\n"], ["twenty\n"])
    binary = pieces_of(texts, file(b"\0" + before), file(b"\0" + after))
    assert binary.parts(b"f") == [PiecePart(b"f", "content")]
