"""A pom as data: the pom above it, and the poms whose versions it imports. Nothing else of it is looked at.

What Maven works out with properties is worked out here the same way (Maven's documentation, "Maven Model Builder"):
the values of a pom stand before those of the poms above it. Profiles are left alone, since which of them hold depends
on the machine.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from envbuild.errors import WorkFailed, fields
from envbuild.lockfile.checked_name import UnsafeName
from envbuild.packages.maven_names import POM, Coordinates
from envbuild.packages.plain_xml import Element, root_of

MAX_PARENTS = 50
MAX_IMPORTS = 1_000
MAX_PROPERTIES = 10_000
MAX_VALUE = 1_000
"""Characters of a property's value, also when what it refers to stands in it."""
MAX_REFERENCES = 100
"""References that one value may lead to: `${a}` of `${b}${b}`, of `${c}${c}`, and so on, is a bomb."""
_REFERENCE = re.compile(r"\$\{([^${}]{1,200})\}")


@fields
class BadPom(WorkFailed):
    """A pom says what no pom may say."""

    name: str
    reason: str

    def text(self) -> tuple[str, str]:
        return f"{self.name}: {self.reason}", "nothing was taken from it; ask who publishes it"


@dataclass(frozen=True, slots=True)
class Pom:
    """What counts of a pom: its coordinates, those of the pom above it, its properties, and what it imports, as texts
    (group, artifact, version) with references in them."""

    meant: Coordinates
    parent: Coordinates | None
    properties: Mapping[str, str]
    imports: tuple[tuple[str, str, str], ...]


def pom_of(content: bytes, meant: Coordinates) -> Pom:
    """Return what a pom says, which was asked for by these coordinates. Raises BadPom and BadDocument."""
    root = root_of(content, meant.name)
    if root.name != "project":
        raise BadPom(meant.name, f"it is a '{root.name[:40]}', not a pom")
    properties = root.child("properties")
    given = properties.children if properties is not None else []
    managed = [item for item in root.all("dependencyManagement", "dependencies", "dependency") if _is_import(item)]
    if len(given) > MAX_PROPERTIES or len(managed) > MAX_IMPORTS:
        raise BadPom(meant.name, f"it has more than {MAX_PROPERTIES:,} properties, or {MAX_IMPORTS:,} imports")
    values = {item.name: item.text.strip() for item in given if len(item.text) <= MAX_VALUE}
    imports = tuple((item.text_of("groupId"), item.text_of("artifactId"), item.text_of("version")) for item in managed)
    return Pom(meant, _parent_of(root, meant), values, imports)


def _is_import(item: Element) -> bool:
    return item.text_of("scope") == "import" and item.text_of("type") == POM


def _parent_of(root: Element, meant: Coordinates) -> Coordinates | None:
    parent = root.child("parent")
    if parent is None:
        return None
    group, artifact, version = (parent.text_of(name) for name in ("groupId", "artifactId", "version"))
    try:
        return Coordinates.of(group, artifact, version, POM)
    except UnsafeName:
        shown = f"{group}:{artifact}:{version}"[:100]
        raise BadPom(meant.name, f"the pom above it is '{shown}', which says no group, name and version") from None


def imports_of(lineage: Sequence[Pom]) -> list[Coordinates]:
    """Return the poms that a pom imports, itself or by those above it: `lineage` is the pom, the one above it, and so
    on. What it imports by a version that only a profile or nothing sets is left out."""
    properties: dict[str, str] = {}
    for pom in reversed(lineage):
        properties |= pom.properties
    own = lineage[0]
    for prefix in ("project.", "pom.", ""):
        properties |= _own_values(prefix, own.meant)
        if own.parent is not None:
            properties |= _own_values(f"{prefix}parent.", own.parent)
    chosen: dict[tuple[str, str], Coordinates] = {}
    for pom in lineage:
        for texts in pom.imports:
            group, artifact, version = (_filled_in(text, properties) for text in texts)
            try:
                meant = Coordinates.of(group, artifact, version, POM)
            except UnsafeName:
                continue
            # What a pom says itself stands before what those above it say.
            chosen.setdefault((group, artifact), meant)
    return list(chosen.values())


def _own_values(prefix: str, meant: Coordinates) -> dict[str, str]:
    return {
        f"{prefix}groupId": meant.group,
        f"{prefix}artifactId": meant.artifact,
        f"{prefix}version": meant.version,
    }


def _filled_in(text: str, properties: Mapping[str, str]) -> str:
    """Return a text with the values of what it refers to; what refers to nothing stays as it is."""
    for _ in range(MAX_REFERENCES):
        match = _REFERENCE.search(text)
        if match is None or match[1] not in properties or len(text) > MAX_VALUE:
            break
        text = text[: match.start()] + properties[match[1]] + text[match.end() :]
    return text
