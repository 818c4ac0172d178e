"""The first of many names, in a sentence."""

import pytest

from envbuild.text.enumeration import first_of


@pytest.mark.parametrize(
    ("names", "text"),
    [
        ([], ""),
        (["a"], "a"),
        (["a", "b"], "a, b"),
        (["a", "b", "c"], "a, b and 1 more"),
        (("a", "b", "c", "d"), "a, b and 2 more"),
    ],
)
def test_what_is_not_named_is_counted(names, text):
    assert first_of(names, 2) == text


def test_what_stands_between_may_be_a_space():
    assert first_of(["+a", "-b", "+c"], 2, " ") == "+a -b and 1 more"
