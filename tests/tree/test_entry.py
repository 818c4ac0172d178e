"""The canonical form of a directory: what every digest rests on."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from envbuild.tree.entry import DIRECTORY, FILE, LINK, Entry, decode, digest_of, encode, mark, marks_in, object_id
from tests.tree.builders import ROOT, file, leaves, names

directories = st.dictionaries(names, leaves, max_size=6).map(
    lambda content: [entry._replace(name=name) for name, entry in content.items()]
)


@given(directories)
def test_what_was_encoded_comes_back_sorted(entries):
    assert decode(encode(entries)) == tuple(sorted(entries))


@given(directories, st.randoms())
def test_the_order_of_entries_does_not_show(entries, random):
    shuffled = list(entries)
    random.shuffle(shuffled)
    assert encode(shuffled) == encode(entries)


@given(directories, directories)
def test_different_directories_have_different_digests(a, b):
    assert (digest_of(encode(a)) == digest_of(encode(b))) == (sorted(a) == sorted(b))


@given(directories)
def test_files_are_told_apart_in_a_canonical_form_as_in_what_it_stands_for(entries):
    inner = Entry(b"0 inner", DIRECTORY, 0o755, 0, 0, 0, 0, "1" * 64)
    marks = [mark(entry) for entry in sorted(entries) if entry.kind == FILE]
    assert marks_in(encode([*entries, ROOT, inner])) == (marks, ["1" * 64])
    assert len(set(marks)) == len({entry._replace(name=b"") for entry in entries if entry.kind == FILE})


@pytest.mark.parametrize("body", [b"f 644 0\0x\0", b"f\0", b"d 1\0\xff\0", b"f 1 2 3"])
def test_what_is_no_directory_has_no_files(body):
    with pytest.raises(ValueError, match=r"not enough|cut short|utf-8"):
        marks_in(body)


def test_the_form_is_pinned():
    entries = [
        Entry(b"a b\n", FILE, 0o4755, 1, 2, 3, 4, "0" * 64, b"", ((b"user.x", b"\0"),)),
        Entry(b"l", LINK, 0o777, 0, 0, -1, 0, "", b"../t"),
        Entry(b"d", DIRECTORY, 0o700, 0, 0, 0, 0, "1" * 64),
    ]
    assert encode(entries) == (
        b"f 4755 1 2 3 4 757365722e78=00 a b\n\0" + b"0" * 64 + b"\0"
        b"d 700 0 0 0 0 - d\0" + b"1" * 64 + b"\0"
        b"l 777 0 0 -1 0 - l\0../t\0"
    )
    assert digest_of(encode(entries)) == "4b22b9596f0b117c14da170f5b7fe3bdaa5f30988a8864affdb5626e1118f73e"


def test_an_object_is_named_by_content_and_attributes_but_not_by_its_name():
    entry = file(b"x", name=b"one")
    assert object_id(entry) == object_id(entry._replace(name=b"two"))
    for other in (
        entry._replace(mode=0o600),
        entry._replace(uid=1),
        entry._replace(gid=1),
        entry._replace(mtime=1),
        entry._replace(xattrs=((b"user.a", b""),)),
        file(b"y"),
    ):
        assert object_id(other) != object_id(entry)
