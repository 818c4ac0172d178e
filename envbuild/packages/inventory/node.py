"""Node packages: from the package.json of each folder in a node_modules (npm's documentation, "package.json")."""

from __future__ import annotations

from collections.abc import Iterator

from envbuild.packages.inventory.bad_record import MOST_JSON, BadRecord, Unreadable, parsed_json
from envbuild.packages.inventory.component import NODE, Component, Read, Walked, check_identity
from envbuild.packages.inventory.licences import LONGEST, MOST

_NAME = "/package.json"


def node_packages(read: Read, walked: Walked) -> Iterator[Component | BadRecord]:
    """Yield the packages of all node_modules that the tree has, and those that Debian has in /usr/share/nodejs."""
    for path, entry in walked:
        if entry.kind != "f" or not path.endswith(_NAME):
            continue
        _, found, folder = path[: -len(_NAME)].rpartition("node_modules/")
        if not found:
            continue
        if folder.count("/") != folder.startswith("@"):
            continue  # it describes a part of a package
        try:
            yield _package(path, read(path, MOST_JSON))
        except Unreadable as error:
            yield BadRecord(NODE, f"/{path}", error.reason)


def _package(path: str, content: bytes | None) -> Component:
    plain = parsed_json(content or b"")
    if not isinstance(plain, dict):
        raise Unreadable("it is not a map")
    name, version = check_identity(NODE, plain.get("name"), plain.get("version"))
    homepage = plain.get("homepage")
    return Component(
        NODE,
        name,
        version,
        "",
        f"/{path}",
        tuple(_licences(plain)),
        homepage=homepage if isinstance(homepage, str) else "",
    )


def _licences(plain: dict[str, object]) -> Iterator[str]:
    """Yield the licences as SPDX expressions, or in the forms that older packages have."""
    one = plain.get("license")
    many = plain.get("licenses")
    for found in [one] if one else many[:MOST] if isinstance(many, list) else []:
        text = found.get("type") if isinstance(found, dict) else found
        if isinstance(text, str) and text:
            yield text[:LONGEST]
