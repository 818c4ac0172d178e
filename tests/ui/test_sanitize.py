"""What a step writes can't act on the terminal."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from envbuild.ui.sanitize import MAX_LINE, LineCleaner, clean, visible

# Bytes among which sequences, their ends, cut UTF-8 and carriage returns are frequent.
PIECES = st.sampled_from(
    [
        b"\x1b",
        b"\x1b[",
        b"\x1b]",
        b"\x1bP",
        b"\x1b\\",
        b"\x07",
        b"\xc2\x9b",
        b"\xc2\x9d",
        b"\xc2\x9c",
        b"\x9b",
        b"31m",
        b"0;title",
        b"\r",
        b"\n",
        b"\r\n",
        b"\t",
        b"\x00",
        b"\x7f",
        b"\x18",
        b"a",
        b"plain text",
        b" (",
        "é".encode(),
        "\u202e".encode(),
        "\u2028".encode(),
        "✓".encode()[:2],
        b"\xff",
        b"[",
        b"\x08",
    ]
)
OUTPUT = st.lists(PIECES | st.binary(max_size=4), max_size=30).map(b"".join)
HARMFUL = re.compile("[\x00-\x08\x0a-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069]")


def lines_of(chunks: list[bytes], limit: int = MAX_LINE) -> list[str]:
    cleaner = LineCleaner(limit)
    return [line for chunk in chunks for line in cleaner.feed(chunk)] + cleaner.finish()


@pytest.mark.parametrize(
    ("written", "shown"),
    [
        ("plain, with a\ttab\n", "plain, with a\ttab\n"),
        ("\x1b[1;31mred\x1b[0m", "red"),
        ("\x1b[2J\x1b[Hfirst", "first"),
        ("\x1b]0;a new title\x07text", "text"),
        ("\x1b]52;c;Y3VybCBldmls\x1b\\text", "text"),
        ("\x1bP1$qm\x1b\\a\x1b_hidden\x1b\\b\x1b^p\x1b\\c\x1bXs\x1b\\d", "abcd"),
        ("\x1b(0lqk\x1b(B\x1b7\x1bMx", "lqkx"),
        ("\x9b31mred\x9d0;title\x9ctext", "redtext"),
        ("bell\x07 null\x00 delete\x7f", "bell null delete"),
        ("user\u202exe.cod", "user\\u202exe.cod"),
        ("one\u2028two", "one\\u2028two"),
        ("10%\r50%\r100%\ndone\r\n", "100%\ndone\n"),
        ("kept\r", "kept"),
        ("\x1b]0;never ended\nstill seen", "\nstill seen"),
        ("\x1b[12\nstill seen", "\nstill seen"),
        ("\x1b[12é", "é"),
        ("\x1b", ""),
    ],
)
def test_text_and_progress_stay_and_sequences_go(written, shown):
    assert clean(written) == shown


def test_bytes_that_are_no_text_are_replaced():
    assert clean(b"caf\xe9 \xc3\xa9") == "caf\ufffd é"


@given(OUTPUT)
def test_nothing_harmful_is_left(output):
    cleaned = clean(output)
    assert not HARMFUL.search(cleaned.replace("\n", ""))
    assert clean(cleaned) == cleaned


@given(OUTPUT, st.data())
def test_it_makes_no_difference_how_output_is_cut(output, data):
    cuts = sorted(data.draw(st.lists(st.integers(0, len(output)), max_size=8)))
    chunks = [output[a:b] for a, b in zip([0, *cuts], [*cuts, len(output)], strict=True)]
    assert lines_of(chunks, 7) == lines_of([output], 7)
    assert lines_of([bytes([byte]) for byte in output], 7) == lines_of([output], 7)


def test_a_line_without_an_end_comes_in_pieces_and_takes_no_memory():
    cleaner = LineCleaner(100)
    lines = [line for _ in range(1000) for line in cleaner.feed(b"x" * 1024)]
    assert {len(line) for line in lines} == {100}
    assert len(cleaner.partial) <= 100
    assert sum(map(len, lines)) + len(cleaner.partial) == 1024 * 1000


def test_a_sequence_without_an_end_takes_no_memory_and_hides_one_line_at_most():
    cleaner = LineCleaner()
    for _ in range(1000):
        assert cleaner.feed(b"\x1b]0;" + b"x" * 1024) == []
    assert cleaner.partial == ""
    assert cleaner.feed(b"\nseen\n") == ["", "seen"]


def test_a_line_of_exactly_the_limit_is_one_line():
    assert lines_of([b"x" * 10 + b"\n"], 10) == ["x" * 10]


def test_names_keep_what_can_not_be_seen_as_escapes():
    assert visible("a\nb\tc\r\x1b[31m\x9b\u202e") == "a\\nb\\tc\\r\\x1b[31m\\x9b\\u202e"
    assert visible(b"caf\xe9".decode("utf-8", "surrogateescape")) == "caf\\xe9"
    assert visible("two words é\u00a0x") == "two words é\u00a0x"
