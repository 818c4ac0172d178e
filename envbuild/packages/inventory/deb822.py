"""Debian's stanzas of fields (deb822(5)): dpkg's status, and copyright files in the machine-readable form."""

from __future__ import annotations

from collections.abc import Iterator


def stanzas(text: str) -> Iterator[dict[str, str]]:
    """Each stanza as its fields, whose names are in lower case; lines of a longer value are joined with newlines."""
    fields: dict[str, str] = {}
    name = ""
    for line in text.splitlines():
        if not line.strip():
            if fields:
                yield fields
            fields, name = {}, ""
        elif line[0] in " \t":
            if name:
                fields[name] += "\n" + line.strip()
        elif line[0] != "#":
            name, colon, value = line.partition(":")
            name = name.lower()
            if colon:
                fields[name] = value.strip()
    if fields:
        yield fields
