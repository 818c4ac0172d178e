"""Python distributions: from their metadata (Python packaging's "Core metadata specifications")."""

from __future__ import annotations

import csv
from collections.abc import Iterator

from envbuild.packages.inventory.bad_record import MAX_RECORD, BadRecord, Unreadable
from envbuild.packages.inventory.component import PYTHON, Component, Read, Walked, check_identity
from envbuild.packages.inventory.licences import of_python

_METADATA = (".dist-info/METADATA", ".egg-info/PKG-INFO")


def python_packages(read: Read, walked: Walked) -> Iterator[Component | BadRecord]:
    """Yield the distributions of all environments that the tree has."""
    for path, entry in walked:
        if entry.kind != "f" or not (path.endswith(_METADATA) or path.endswith(".egg-info")):
            continue
        if "-packages/" not in path:
            continue  # sources that lie about are not installed
        try:
            content = read(path, MAX_RECORD)
            if content is not None:
                yield _distribution(path, headers(content.decode("utf-8", "replace")))
        except Unreadable as error:
            yield BadRecord(PYTHON, f"/{path}", error.reason)


def _distribution(path: str, fields: dict[str, list[str]]) -> Component:
    def first(name: str) -> str:
        return fields.get(name, [""])[0]

    name, version = check_identity(PYTHON, first("name"), first("version"))
    licences = of_python(first("license-expression"), fields.get("classifier", []), first("license"))
    return Component(PYTHON, name, version, "", f"/{path}", licences, homepage=first("home-page"))


def headers(text: str) -> dict[str, list[str]]:
    """Return the fields above the first empty line, by their names in lower case, each with its values in order.
    Lines that continue a value follow a newline. Raises Unreadable for a line that is neither, before both name and
    version: after them some old tools have written their description without indenting it."""
    fields: dict[str, list[list[str]]] = {}
    lines: list[str] | None = None
    for number, line in enumerate(text.split("\n"), 1):
        line = line.rstrip("\r")
        if not line:
            break
        if line[0] in " \t":
            if lines is None:
                raise Unreadable(f"line {number} continues a field, and there is none")
            lines.append(line.strip())
            continue
        name, colon, value = line.partition(":")
        if not colon or not name.isascii() or not name.replace("-", "").isalnum():
            if "name" in fields and "version" in fields:
                break
            raise Unreadable(f"line {number} is not a field")
        lines = [value.strip()]
        fields.setdefault(name.lower(), []).append(lines)
    return {name: ["\n".join(lines) for lines in values] for name, values in fields.items()}


def recorded(text: str) -> list[list[str]]:
    """Return the rows of a distribution's RECORD. Raises Unreadable for other lines."""
    rows = []
    try:
        for row in csv.reader(text.splitlines()):
            rows.append(row)
    except csv.Error as error:
        raise Unreadable(f"line {len(rows) + 1} is not a line of a RECORD: {error}") from None
    return rows
