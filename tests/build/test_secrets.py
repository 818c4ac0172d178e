"""Secrets in what a step prints: whole, in lines, over several writes, and over each other."""

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from envbuild.build.secrets import MASK, Redactor

KEY = b"-----BEGIN KEY-----\nMIIEvQIBADANBg\nkqhkiG9w0BAQEF\n-----END KEY-----\n"


def printed(secrets: list[bytes], *writes: bytes) -> bytes:
    written: list[bytes] = []
    redactor = Redactor(secrets, written.append)
    for write in writes:
        redactor.write(write)
    redactor.close()
    return b"".join(written)


def test_each_line_of_a_secret_is_masked_however_it_is_printed():
    indented = b"".join(b"    " + line + b"\r\n" for line in KEY.splitlines())
    for text in (KEY, indented, KEY.replace(b"\n", rb"\n"), b"one: MIIEvQIBADANBg, two: kqhkiG9w0BAQEF"):
        shown = printed([KEY], text)
        assert b"MIIEvQIBADANBg" not in shown
        assert b"kqhkiG9w0BAQEF" not in shown
        assert MASK in shown


def test_a_secret_of_short_lines_is_masked_as_a_whole():
    assert printed([b"ab\ncd\nef"], b"x ab\ncd\nef y") == b"x " + MASK + b" y"


def test_a_secret_that_begins_as_another_one_is_masked_to_its_end():
    assert printed([b"abcd", b"abcdefgh"], b"<abcd", b"efgh>") == b"<" + MASK + b">"


def test_two_that_overlap_are_masked_with_all_that_they_cover():
    assert printed([b"secretA", b"tAother"], b"<secretAother>") == b"<" + MASK + b">"


def test_what_is_said_twice_is_masked_twice():
    assert printed([b"token"], b"tokentoken") == MASK + MASK


def test_a_secret_that_repeats_itself_takes_no_memory():
    written: list[bytes] = []
    redactor = Redactor([b"aaaa"], written.append)
    for _ in range(1000):
        redactor.write(b"a" * 100)
    redactor.close()
    assert b"".join(written) == MASK


def test_ends_of_lines_and_short_words_are_not_masked():
    assert printed([b"abc\n", b"", b"\n\n"], b"abc\n\nabc") == b"abc\n\nabc"


@given(st.data())
def test_writes_may_end_anywhere(data):
    """The same is shown however the output is cut, and no secret in it."""
    secrets = data.draw(st.lists(st.binary(min_size=4, max_size=9).filter(bytes.strip), min_size=1, max_size=3))
    pieces = st.one_of(st.sampled_from(secrets), st.binary(max_size=6))
    text = b"".join(data.draw(st.lists(pieces, max_size=8)))
    cuts = sorted(data.draw(st.lists(st.integers(0, len(text)), max_size=6)))
    bounds = [0, *cuts, len(text)]
    writes = [text[first:last] for first, last in pairwise(bounds)]
    assert printed(secrets, *writes) == printed(secrets, text)


@pytest.mark.parametrize("size", [1, 7, 64])
def test_a_key_in_small_writes(size):
    text = b"before " + KEY + b"after"
    writes = [text[at : at + size] for at in range(0, len(text), size)]
    lines = (MASK + b"\n") * 4
    assert printed([KEY], *writes) == b"before " + lines + b"after"
