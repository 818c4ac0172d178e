"""Patterns of `discard`, `exclude=` and `.envignore` are tried on names that steps and repositories choose."""

from __future__ import annotations

import subprocess
import sys

import pytest

SCRIPT = """
import resource, sys
resource.setrlimit(resource.RLIMIT_CPU, (20, 20))
from envbuild.tree.patterns import compile_patterns
print(compile_patterns([sys.argv[1]]).matches(sys.argv[2].encode(), False))
"""


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
    done = subprocess.run([sys.executable, "-c", SCRIPT, pattern, path], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (0, "False\n"), done.stderr
