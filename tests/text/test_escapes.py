"""Any bytes as a part of a line, and back."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from envbuild.text.escapes import escaped, unescaped


@given(st.binary())
def test_any_name_comes_back_and_is_within_its_line(name: bytes) -> None:
    text = escaped(name)
    assert unescaped(text) == name
    assert text.isprintable()


def test_what_can_be_seen_stays_as_it_is() -> None:
    assert escaped("etc/Größe a".encode()) == "etc/Größe a"
    assert escaped(b"a\\b\tc\n\xff\xe2\x80\xae") == r"a\\b\x09c\x0a\xff\xe2\x80\xae"


@pytest.mark.parametrize("text", [r"\q", "\\", r"\x4", r"\xGG", r"\x41", "a\tb", "\u202e"])
def test_a_text_that_was_not_escaped_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="escape"):
        unescaped(text)
