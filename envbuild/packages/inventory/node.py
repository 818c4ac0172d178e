"""Node packages: from the package.json of each folder in a node_modules (npm's documentation, "package.json")."""

from __future__ import annotations

from collections.abc import Iterator

from envbuild.packages.inventory.bad_record import MAX_JSON, BadRecord, Unreadable, parsed_json
from envbuild.packages.inventory.component import NODE, Component, Read, Walked, check_identity
from envbuild.packages.inventory.licences import MAX_LICENCE, MAX_LICENCES

_NAME = "/package.json"


def node_packages(read: Read, walked: Walked) -> Iterator[Component | BadRecord]:
    """Yield the packages of all node_modules that the tree has, and those that Debian has in /usr/share/nodejs."""
    for path, entry in walked:
        if entry.kind != "f" or not path.endswith(_NAME):
            continue
        _, separator, folder = path[: -len(_NAME)].rpartition("node_modules/")
        if not separator:
            continue
        if folder.count("/") != folder.startswith("@"):
            continue  # it describes a part of a package
        try:
            yield _package(path, read(path, MAX_JSON))
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
    licence, older = plain.get("license"), plain.get("licenses")
    for item in [licence] if licence else older[:MAX_LICENCES] if isinstance(older, list) else []:
        text = item.get("type") if isinstance(item, dict) else item
        if isinstance(text, str) and text:
            yield text[:MAX_LICENCE]
