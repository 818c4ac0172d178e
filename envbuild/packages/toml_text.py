"""TOML that others wrote: projects and lock files of other tools. Python's reader takes it, within limits."""

from __future__ import annotations

import re
import tomllib

MAX_DEPTH = 100
"""Arrays and tables within one another. Python's own limit is not one here: commands raise it (cli/main.py)."""
MAX_LINE = 100_000
"""Characters of a line."""
MAX_PARTS = 500
"""Parts of a key with dots: the time that it takes to read one grows with their square."""


_PARTS = re.compile(
    r'"""(?:\\.|[^\\])*?(?:"""|\Z)|"(?:\\.|[^"\\\n])*"?'  # basic strings; what is not closed ends with the text
    r"|'''.*?(?:'''|\Z)|'[^'\n]*'?|#[^\n]*|[\[{]|[\]}]",
    re.DOTALL,
)
"""Strings, comments and brackets (toml.io/en/v1.0.0)."""


class BadToml(ValueError):
    """A text is not TOML, or none that a tool or a person would write."""


def parse_toml(content: bytes) -> dict[str, object]:
    """Return what a TOML document says. Raises BadToml."""
    for line in content.split(b"\n"):
        if len(line) > MAX_LINE or line.partition(b"=")[0].count(b".") > MAX_PARTS:
            raise BadToml("a line of it is longer than any tool writes it")
    try:
        text = content.decode()
        if _depth(text) > MAX_DEPTH:
            raise BadToml("it is nested too deep")
        return tomllib.loads(text)
    except BadToml:
        raise
    except ValueError as error:
        raise BadToml(f"it is not TOML: {error}") from None


def _depth(text: str) -> int:
    """Return how many brackets are open at one place at most."""
    depth = deepest = 0
    for part in _PARTS.finditer(text):
        if part[0] in "[{":
            depth += 1
            deepest = max(deepest, depth)
        elif part[0] in "]}":
            depth -= 1
    return deepest
