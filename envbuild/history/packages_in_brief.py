"""The packages that differ in a few words: first those that somebody asked for, and the others as a number."""

from __future__ import annotations

from collections.abc import Iterable

from envbuild.text.enumeration import first_of

MAX_SHOWN = 8
"""Packages that are named."""
FOLDED = ("added", "removed")
"""What is only counted of packages that nobody asked for."""


def packages_in_brief(packages: Iterable[tuple[str, str, bool]]) -> str:
    """Return `+curl -git, and 45 that they need` for (verb, name, asked) of packages; "" where none that somebody asked
    for was added or removed."""
    listed = list(packages)
    named = [f"+{name}" for verb, name, asked in listed if asked and verb == "added"]
    named += [f"-{name}" for verb, name, asked in listed if asked and verb == "removed"]
    if not named:
        return ""
    text = first_of(named, MAX_SHOWN, " ")
    needed, dropped = (sum(verb == folded_verb and not asked for verb, _, asked in listed) for folded_verb in FOLDED)
    if needed:
        text += f", and {needed} that {'they need' if len(named) > 1 else 'it needs'}"
    if dropped:
        text += f", {dropped} no longer needed"
    return text
