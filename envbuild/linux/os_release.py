"""os-release(5): what a system says of itself."""

from __future__ import annotations

PATHS = ("etc/os-release", "usr/lib/os-release")
MAX_RELEASE = 1 << 16
"""Bytes of such a file."""


def release_fields(text: str) -> dict[str, str]:
    """Return the fields of a text of os-release(5), without quotes around their values."""
    pairs = (line.split("=", 1) for line in text.splitlines() if "=" in line)
    return {name.strip(): value.strip().strip("\"'") for name, value in pairs}
