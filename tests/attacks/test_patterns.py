"""Patterns of `discard`, `exclude=` and `.envignore` are tried on names that steps and repositories choose."""

from __future__ import annotations

import resource

import pytest

from envbuild.tree.patterns import compile_patterns
from tests.child import in_child


@pytest.mark.parametrize(
    ("pattern", "path"),
    [
        ("*a" * 40 + "b", "a" * 255),
        ("*[ab]" * 40 + "c", "ab" * 120),
        ("*?" * 60 + "b", "a" * 255),
        ("**/a/" * 20 + "b", "a/" * 1000 + "a"),
        ("**/*a*/" * 20 + "b", "aaaa/" * 700 + "a"),
    ],
)
def test_stars_take_no_exponential_time(pattern: str, path: str):
    def match() -> None:
        resource.setrlimit(resource.RLIMIT_CPU, (20, 20))
        assert not compile_patterns([pattern]).matches(path.encode(), False)

    in_child(match)
