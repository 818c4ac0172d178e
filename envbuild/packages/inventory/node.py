"""Node packages: from the package.json of each folder in a node_modules (npm's documentation, "package.json")."""

from __future__ import annotations

import json
from collections.abc import Iterator

from envbuild.packages.inventory.component import NODE, Component, Read, Walked

_NAME = "/package.json"


def node_packages(read: Read, walked: Walked) -> Iterator[Component]:
    """The packages of all node_modules that the tree has, and those that Debian has in /usr/share/nodejs."""
    for path, entry in walked:
        if entry.kind != "f" or not path.endswith(_NAME):
            continue
        _, found, folder = path[: -len(_NAME)].rpartition("node_modules/")
        if not found:
            continue
        if folder.count("/") != folder.startswith("@"):
            continue  # it describes a part of a package
        content = read(path)
        try:
            plain = json.loads(content or b"")
        except ValueError:
            continue
        if not isinstance(plain, dict) or not plain.get("version") or not isinstance(plain.get("name"), str):
            continue
        homepage = plain.get("homepage")
        yield Component(
            NODE,
            plain["name"],
            str(plain["version"]),
            "",
            f"/{path}",
            tuple(_licences(plain)),
            homepage=homepage if isinstance(homepage, str) else "",
        )


def _licences(plain: dict[str, object]) -> Iterator[str]:
    """The licence as an SPDX expression, or in the forms that older packages have."""
    one = plain.get("license")
    many = plain.get("licenses")
    for found in [one] if one else many if isinstance(many, list) else []:
        text = found.get("type") if isinstance(found, dict) else found
        if isinstance(text, str) and text:
            yield text
