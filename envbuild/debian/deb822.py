"""Debian's stanzas of fields (deb822(5)), in which dpkg, apt, archives and packages write down nearly everything."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from envbuild.record import Record


class Stanza(Record):
    """One stanza. `fields` has the names in lower case, as case means nothing in them, and `spelling` each of these
    names as it is written; lines of a longer value are joined with newlines. `text` is the stanza as it stands, `line`
    the number of its first line, and `fault` what is wrong with it, "" for nothing."""

    fields: dict[str, str]
    spelling: dict[str, str]
    text: str
    line: int
    fault: str


def stanzas(text: str) -> Iterator[dict[str, str]]:
    """Yield the fields of each stanza, with their names in lower case. Lines that make no sense are skipped."""
    return (stanza.fields for stanza in checked_stanzas(text))


def checked_stanzas(text: str) -> Iterator[Stanza]:
    """Yield each stanza with what is wrong with it."""
    lines: list[str] = []
    fields: dict[str, list[str]] = {}
    spelling: dict[str, str] = {}
    name, fault, start = "", "", 1
    # A blank line behind the last one ends the last stanza.
    for number, line in enumerate([*text.split("\n"), ""], 1):
        if not line.strip():
            if fields or fault:
                values = {name: "\n".join(parts) for name, parts in fields.items()}
                yield Stanza(values, spelling, "\n".join(lines), start, fault)
            lines, fields, spelling, name, fault, start = [], {}, {}, "", "", number + 1
            continue
        lines.append(line)
        if line[0] in " \t":
            if name:
                fields[name].append(line.strip())
            else:
                fault = fault or f"line {number} continues a field, and there is none"
        elif line[0] != "#":
            written, colon, value = line.partition(":")
            name = written.lower() if colon else ""
            if not colon:
                fault = fault or f"line {number} is not a field"
                continue
            if name in fields:
                fault = fault or f"line {number} has a field that is there already"
            fields[name] = [value.strip()]
            spelling[name] = written


def field_texts(stanza: str) -> Iterator[tuple[str, str]]:
    """Yield the name of each field of a stanza in lower case, and its lines as they stand, joined."""
    name, lines = "", [""]
    for line in stanza.split("\n"):
        if line[:1] in (" ", "\t"):
            lines.append(line)
            continue
        if name:
            yield name, "\n".join(lines)
        name, lines = line.partition(":")[0].lower(), [line]
    if name:
        yield name, "\n".join(lines)


def conffiles_of(fields: Mapping[str, str], *, obsolete: bool) -> Iterator[tuple[str, str]]:
    """Yield the configuration files of a package in dpkg's status, each with the md5 that it was installed with; those
    that its present version no longer has only with `obsolete`."""
    for line in fields.get("conffiles", "").split("\n"):
        words = line.split()
        if len(words) == 2 or (obsolete and len(words) > 2):
            yield words[0], words[1]
