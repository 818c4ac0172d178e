"""All packages of a tree."""

from __future__ import annotations

import re

from envbuild.linux.os_release import MAX_RELEASE, PATHS, release_fields
from envbuild.packages.inventory.bad_record import BadRecord, Unreadable
from envbuild.packages.inventory.component import DPKG, NODE, PYTHON, Component, Read
from envbuild.packages.inventory.dpkg import debian_packages
from envbuild.packages.inventory.node import node_packages
from envbuild.packages.inventory.python import python_packages
from envbuild.packages.pip import normal
from envbuild.record import Record, values
from envbuild.store.images import Image
from envbuild.store.objects import TooLargeToRead
from envbuild.store.store import Store
from envbuild.tree.entry import Digest
from envbuild.tree.lookup import walk

_WORD = re.compile(r"[a-z0-9][a-z0-9._-]{0,63}")
_MANAGERS = {DPKG: "apt", PYTHON: "pip", NODE: "npm"}


class Inventory(Record):
    """What a tree says of its packages: those that it holds, by kind, name and path, and records that can't be read."""

    packages: tuple[Component, ...]
    bad: tuple[BadRecord, ...]


def packages_of(store: Store, image: Image) -> Inventory:
    """The packages that an image's tree holds; with the hashes of their files where the build knew them."""
    hashes = _hashes(image)
    listed = inventory(store, image.tree)
    found = []
    for one in listed.packages:
        name = normal(one.name) if one.kind == PYTHON else one.name
        found.append(one.replace(hash=hashes.get((_MANAGERS[one.kind], name, one.version), "")))
    return listed.replace(packages=tuple(found))


def inventory(store: Store, tree: Digest) -> Inventory:
    """The packages that a tree holds. A record that can't be read is listed as such, whatever else is there."""

    def read(path: str, most: int) -> bytes | None:
        # Copyright files are often links to another package's.
        try:
            return store.read_file(tree, path, most)
        except TooLargeToRead as error:
            raise Unreadable(f"it has {error.size:,} bytes") from None

    walked = [(path.decode("utf-8", "surrogateescape"), entry) for path, entry in walk(store.trees, tree)]
    found: list[Component] = []
    bad: list[BadRecord] = []
    for one in (
        *debian_packages(read, walked, _distribution(read)),
        *python_packages(read, walked),
        *node_packages(read, walked),
    ):
        if isinstance(one, BadRecord):
            bad.append(one)
        else:
            found.append(one)
    return Inventory(
        tuple(sorted(found, key=lambda one: (one.kind, one.name.lower(), one.version, one.path))),
        tuple(sorted(bad, key=values)),
    )


def _distribution(read: Read) -> str:
    """`debian bookworm`, from os-release(5); "" where that says nothing that could be one."""
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
    """The hashes of what steps installed, as the image's detail has them."""
    found = {}
    for stage in image.known.get("stages", []):
        for step in stage["steps"]:
            for manager, name, version, digest in step.get("packages", []):
                plain = name.rpartition("node_modules/")[2] if manager == "npm" else name.partition(":")[0]
                found[manager, plain, version] = digest
    return found
