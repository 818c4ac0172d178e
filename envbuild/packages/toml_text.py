"""TOML that others wrote: projects and lock files of other tools. Python's reader takes it, within limits."""

from __future__ import annotations

import tomllib

MAX_LINE = 100_000
"""Characters of a line."""
MAX_PARTS = 500
"""Parts of a key with dots: the time that it takes to read one grows with their square."""


class BadToml(ValueError):
    """A text is not TOML, or none that a tool or a person would write."""


def parse_toml(content: bytes) -> dict[str, object]:
    """Return what a TOML document says. Raises BadToml."""
    for line in content.split(b"\n"):
        if len(line) > MAX_LINE or line.partition(b"=")[0].count(b".") > MAX_PARTS:
            raise BadToml("a line of it is longer than any tool writes it")
    try:
        return tomllib.loads(content.decode())
    except RecursionError:
        raise BadToml("it is nested too deep") from None
    except ValueError as error:
        raise BadToml(f"it is not TOML: {error}") from None
