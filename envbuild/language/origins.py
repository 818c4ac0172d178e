"""What a statement may take files from beside its context: a stage, an image, another recipe."""

from __future__ import annotations

from envbuild.text.pattern import Pattern

_ORIGIN = Pattern(
    r"(image:)?[A-Za-z0-9][A-Za-z0-9._/-]*(:[A-Za-z0-9._-]+)?(@\S+)?|sha256:[0-9a-f]{6,64}|image:git:.+:.+|recipe:.+"
)
_BASES_ONLY = ("oci:", "tar:", "registry:")
"""Bases that a stage may start from but nothing else may name: they need a stage."""


def is_origin(text: str) -> bool:
    """Return whether a text can be the name of a stage, or the reference of an image."""
    return _ORIGIN.fullmatch(text) is not None and not text.startswith(_BASES_ONLY)
