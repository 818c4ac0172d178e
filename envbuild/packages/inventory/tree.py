"""All packages of a tree."""

from __future__ import annotations

import re
from dataclasses import dataclass

from envbuild.linux.os_release import MAX_RELEASE, PATHS, release_fields
from envbuild.packages.inventory.bad_record import BadRecord, Unreadable
from envbuild.packages.inventory.component import PYTHON, Component, Read
from envbuild.packages.inventory.dpkg import debian_packages
from envbuild.packages.inventory.locked import locked_packages
from envbuild.packages.inventory.node import node_packages
from envbuild.packages.inventory.python import python_packages
from envbuild.packages.plain_names import plain_name
from envbuild.packages.python_names import normal_name
from envbuild.packages.registry import KINDS
from envbuild.record import values
from envbuild.store.images import Image
from envbuild.store.objects import TooLargeToRead
from envbuild.store.store import Store
from envbuild.tree.entry import Digest
from envbuild.tree.lookup import walk

_WORD = re.compile(r"[a-z0-9][a-z0-9._-]{0,63}")
_MANAGERS = {kind: name for name, kind in KINDS.items()}


@dataclass(frozen=True, slots=True)
class Inventory:
    """What a tree says of its packages: those that it holds, by kind, name and path, and records that can't be read."""

    packages: tuple[Component, ...]
    bad: tuple[BadRecord, ...]


def packages_of(store: Store, image: Image) -> Inventory:
    """Return the packages that an image's tree holds, with the hashes of their files where the build knew them, and
    those that the build took from locks of projects."""
    hashes = _hashes(image)
    listed = inventory(store, image.tree)
    components = []
    for component in listed.packages:
        name = normal_name(component.name) if component.kind == PYTHON else component.name
        components.append(component.replace(hash=hashes.get((_MANAGERS[component.kind], name, component.version), "")))
    return Inventory(_sorted([*components, *locked_packages(store, image)]), listed.bad)


def inventory(store: Store, tree: Digest) -> Inventory:
    """Return the packages that a tree holds. A record that can't be read is listed as such, whatever else is there."""

    def read(path: str, most: int) -> bytes | None:
        # Copyright files are often links to another package's.
        try:
            return store.read_file(tree, path, most)
        except TooLargeToRead as error:
            raise Unreadable(f"it has {error.entry.size:,} bytes") from None

    walked = [(path.decode("utf-8", "surrogateescape"), entry) for path, entry in walk(store.trees, tree)]
    components: list[Component] = []
    bad: list[BadRecord] = []
    for component in (
        *debian_packages(read, walked, _distribution(read)),
        *python_packages(read, walked),
        *node_packages(read, walked),
    ):
        if isinstance(component, BadRecord):
            bad.append(component)
        else:
            components.append(component)
    return Inventory(_sorted(components), tuple(sorted(bad, key=values)))


def _sorted(components: list[Component]) -> tuple[Component, ...]:
    def order(component: Component) -> tuple[str, ...]:
        return component.kind, component.name.lower(), component.version, component.path, component.qualifiers

    return tuple(sorted(components, key=order))


def _distribution(read: Read) -> str:
    """Return `debian bookworm`, from os-release(5); "" where that names nothing that could be one."""
    release = b""
    for path in PATHS:
        try:
            release = release or read(path, MAX_RELEASE) or b""
        except Unreadable:
            continue  # it names no package: what is missing is a part of their URLs
    fields = release_fields(release.decode("utf-8", "replace"))
    words = (fields.get(name, "") for name in ("ID", "VERSION_CODENAME"))
    return " ".join(word for word in words if _WORD.fullmatch(word))


def _hashes(image: Image) -> dict[tuple[str, str, str], str]:
    """Return the hashes of what steps installed, as the image's detail has them."""
    hashes = {}
    for stage in image.known.get("stages", []):
        for step in stage["steps"]:
            for manager, name, version, digest in step.get("packages", []):
                hashes[manager, plain_name(name), version] = digest
    return hashes
