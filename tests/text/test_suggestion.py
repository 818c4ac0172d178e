"""Which name is meant."""

import pytest

from envbuild.text.suggestion import nearest, distance


@pytest.mark.parametrize(
    ("name", "meant"),
    [("netwrok", "network"), ("cahce", "cache"), ("USER", "user"), ("rn", "run"), ("zebra", None), ("x", None)],
)
def test_the_nearest_name(name, meant):
    assert nearest(name, ["network", "cache", "user", "run"]) == meant


def test_slips():
    assert (distance("abc", "abc"), distance("abc", "acb"), distance("abc", "ab"), distance("", "ab")) == (0, 1, 1, 2)
