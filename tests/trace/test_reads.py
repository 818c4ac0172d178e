"""The record of what a step read, as bytes and back."""

import zlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from envbuild.trace.reads import (
    ABSENT,
    ATTRIBUTES,
    CONTENT,
    LISTING,
    MAX_NAME,
    MAX_PATHS,
    RIGHTS,
    BadReads,
    Reads,
    dump,
    parse,
)

NAMES = st.binary(min_size=1, max_size=8).filter(
    lambda name: b"/" not in name and b"\0" not in name and name not in (b".", b"..")
)
PATHS = st.lists(NAMES, max_size=5).map(b"/".join)
ACCESSES = st.just(ABSENT) | st.integers(1, 15).map(lambda flags: flags << 1)
HEAD = b"envbuild reads 1\n"


@given(st.dictionaries(PATHS, ACCESSES), st.text(alphabet=st.characters(codec="utf-8", exclude_characters="\n")))
def test_a_record_comes_back_as_it_was(paths, reason):
    reads = Reads(paths, reason[:200])
    assert parse(dump(reads)) == reads


def test_the_form_is_fixed():
    reads = Reads({b"etc": LISTING, b"": ATTRIBUTES | RIGHTS, b"etc/b c": CONTENT, b"x": ABSENT}, "uses io_uring")
    assert zlib.decompress(dump(reads)) == HEAD + b"uses io_uring\n06 \x0010 etc\x0008 etc/b c\x0001 x\x00"


@pytest.mark.parametrize(
    "text",
    [
        b"",
        HEAD,
        b"envbuild reads 2\n\n",
        HEAD + b"\xff\n",
        HEAD + b"x" * 2000 + b"\n",
        HEAD + b"\n08 /etc\0",
        HEAD + b"\n08 etc/\0",
        HEAD + b"\n08 etc//x\0",
        HEAD + b"\n08 etc/../x\0",
        HEAD + b"\n08 ./etc\0",
        HEAD + b"\n08 " + b"n" * (MAX_NAME + 1) + b"\0",
        HEAD + b"\n08 " + b"n/" * 3000 + b"n\0",
        HEAD + b"\n08 etc",
        HEAD + b"\n08 b\x0008 a\0",
        HEAD + b"\n08 a\x0008 a\0",
        HEAD + b"\n00 a\0",
        HEAD + b"\n03 a\0",
        HEAD + b"\n20 a\0",
        HEAD + b"\n8 a\0",
        HEAD + b"\n0A a\0",
    ],
)
def test_nothing_else_is_taken_for_one(text):
    with pytest.raises(BadReads):
        parse(zlib.compress(text))


def test_it_is_bounded():
    with pytest.raises(BadReads):
        parse(zlib.compress(HEAD + b"\n" + b"08 a\0" * (MAX_PATHS + 1)))
    with pytest.raises(BadReads):
        parse(zlib.compress(bytes(1 << 28)))
    with pytest.raises(BadReads):
        parse(b"no zlib")
    with pytest.raises(BadReads):
        parse(dump(Reads({}))[:-1])
    with pytest.raises(BadReads):
        parse(dump(Reads({})) + b"x")
