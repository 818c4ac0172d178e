"""Which name is meant."""

import pytest

from envbuild.text.suggestion import nearest, slips


@pytest.mark.parametrize(
    ("name", "meant"),
    [("netwrok", "network"), ("cahce", "cache"), ("USER", "user"), ("rn", "run"), ("zebra", None), ("x", None)],
)
def test_the_nearest_name(name, meant):
    assert nearest(name, ["network", "cache", "user", "run"]) == meant


def test_slips():
    assert (slips("abc", "abc"), slips("abc", "acb"), slips("abc", "ab"), slips("", "ab")) == (0, 1, 1, 2)
