"""A pom as data: the pom above it, the poms whose versions it imports, what it needs, and where it has moved to.

Nothing else of it is looked at. What Maven works out with properties is worked out here the same way (Maven's
documentation, "Maven Model Builder"): the values of a pom stand before those of the poms above it. Profiles are left
alone, since which of them hold depends on the machine.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from envbuild.errors import WorkFailed, fields
from envbuild.lockfile.checked_name import UnsafeName
from envbuild.packages.maven_names import JAR, POM, Coordinates
from envbuild.packages.plain_xml import Element, root_of

MAX_ITEMS = 20_000
"""Properties, and dependencies of each kind, in one pom: the longest lists of versions have 3,000."""
MAX_VALUE = 1_000
"""Characters of a property's value."""
_NEEDED = ("", "compile", "runtime")
"""Scopes in which what an artifact needs is needed by who needs the artifact."""

Texts = tuple[str, str, str]
"""Group, name and version as a pom has them: with references to properties, "" for what it leaves out."""


@fields
class BadPom(WorkFailed):
    """A pom says what no pom may say."""

    name: str
    reason: str

    def text(self) -> tuple[str, str]:
        return f"{self.name}: {self.reason}", "nothing was taken from it; ask who publishes it"


@dataclass(frozen=True, slots=True)
class Pom:
    """What counts of a pom: its coordinates, those of the pom above it, its properties, what it imports, the versions
    that it manages, what it needs when it is used, and what it has become, None if it is still itself."""

    meant: Coordinates
    parent: Coordinates | None
    properties: Mapping[str, str]
    imports: tuple[Texts, ...]
    managed: tuple[Texts, ...]
    needs: tuple[Texts, ...]
    relocation: Texts | None


def pom_of(content: bytes, meant: Coordinates) -> Pom:
    """Return what a pom says, which was asked for by these coordinates. Raises BadPom and BadDocument."""
    root = root_of(content, meant.name)
    if root.name != "project":
        raise BadPom(meant.name, f"it is a '{root.name[:40]}', not a pom")
    properties = root.child("properties")
    given = properties.children if properties is not None else []
    managed = list(root.all("dependencyManagement", "dependencies", "dependency"))
    needed = list(root.all("dependencies", "dependency"))
    if max(len(given), len(managed), len(needed)) > MAX_ITEMS:
        raise BadPom(meant.name, f"it has more than {MAX_ITEMS:,} properties or dependencies")
    relocation = root.child("distributionManagement", "relocation")
    return Pom(
        meant,
        _parent_of(root, meant),
        {item.name: item.text.strip() for item in given if len(item.text) <= MAX_VALUE},
        tuple(_texts(item) for item in managed if _is_import(item)),
        tuple(_texts(item) for item in managed if item.text_of("type") in ("", JAR) and not _is_import(item)),
        tuple(_texts(item) for item in needed if _is_passed_on(item)),
        _texts(relocation) if relocation is not None else None,
    )


def _texts(item: Element) -> Texts:
    return item.text_of("groupId"), item.text_of("artifactId"), item.text_of("version")


def _is_import(item: Element) -> bool:
    return item.text_of("scope") == "import" and item.text_of("type") == POM


def _is_passed_on(item: Element) -> bool:
    return item.text_of("scope") in _NEEDED and item.text_of("optional") != "true" and not item.text_of("classifier")


def _parent_of(root: Element, meant: Coordinates) -> Coordinates | None:
    parent = root.child("parent")
    if parent is None:
        return None
    group, artifact, version = _texts(parent)
    try:
        return Coordinates.of(group, artifact, version, POM)
    except UnsafeName:
        shown = f"{group}:{artifact}:{version}"[:100]
        raise BadPom(meant.name, f"the pom above it is '{shown}', which says no group, name and version") from None
