"""Debian's stanzas of fields (deb822(5)): dpkg's status, and copyright files in the machine-readable form."""

from __future__ import annotations

from collections.abc import Iterator

from envbuild.record import Record


class Stanza(Record):
    """One stanza. `fields` have their names in lower case; `line` is where it begins; `fault` is what its text has that
    no stanza can have, "" if nothing."""

    fields: dict[str, str]
    line: int
    fault: str


def stanzas(text: str) -> Iterator[dict[str, str]]:
    """Each stanza as its fields, whose names are in lower case; lines of a longer value are joined with newlines. What
    makes no sense is passed over."""
    return (one.fields for one in checked_stanzas(text))


def checked_stanzas(text: str) -> Iterator[Stanza]:
    """Each stanza, with what is wrong with it."""
    fields: dict[str, list[str]] = {}
    name, fault, start = "", "", 1
    for number, line in enumerate(text.split("\n"), 1):
        if not line.strip():
            if fields or fault:
                yield _stanza(fields, start, fault)
            fields, name, fault, start = {}, "", "", number + 1
        elif line[0] in " \t":
            if name:
                fields[name].append(line.strip())
            else:
                fault = fault or f"line {number} continues a field, and there is none"
        elif line[0] != "#":
            name, colon, value = line.partition(":")
            name = name.lower()
            if not colon:
                name, fault = "", fault or f"line {number} is not a field"
            elif name in fields:
                fault = fault or f"line {number} has a field that is there already"
                fields[name] = [value.strip()]
            else:
                fields[name] = [value.strip()]
    if fields or fault:
        yield _stanza(fields, start, fault)


def _stanza(fields: dict[str, list[str]], line: int, fault: str) -> Stanza:
    return Stanza({name: "\n".join(lines) for name, lines in fields.items()}, line, fault)
