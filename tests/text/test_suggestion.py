"""Which name is meant."""

import pytest

from envbuild.text.suggestion import nearest, slips


@pytest.mark.parametrize(
    ("name", "meant"),
    [("netwrok", "network"), ("cahce", "cache"), ("USER", "user"), ("rn", "run"), ("zebra", None), ("x", None)],
)
def test_the_nearest_name(name, meant):
    assert nearest(name, ["network", "cache", "user", "run"]) == meant


def test_names_that_differ_too_much_are_not_compared_to_the_end():
    assert slips("abcdefgh", "12345678", 2) == 3
    assert nearest("requirement.txt", ["requirements.txt", *(f"file-{number}" for number in range(20_000))]) == (
        "requirements.txt"
    )
    assert nearest("a" * 101, ["a" * 100]) is None


def test_slips():
    assert (slips("abc", "abc"), slips("abc", "acb"), slips("abc", "ab"), slips("", "ab")) == (0, 1, 1, 2)
