"""All packages of a tree."""

from __future__ import annotations

from collections.abc import Iterable

from envbuild.packages.inventory.component import DPKG, NODE, PYTHON, Component
from envbuild.packages.inventory.dpkg import debian_packages
from envbuild.packages.inventory.node import node_packages
from envbuild.packages.inventory.python import python_packages
from envbuild.packages.pip import normal
from envbuild.store.images import Image
from envbuild.store.store import Store
from envbuild.tree.entry import FILE, Digest
from envbuild.tree.forest import lookup, walk

_MANAGERS = {DPKG: "apt", PYTHON: "pip", NODE: "npm"}


def packages_of(store: Store, image: Image) -> list[Component]:
    """The packages that an image's tree holds, sorted; with the hashes of their files where the build knew them."""
    hashes = _hashes(image)
    found = []
    for one in components(store, image.tree):
        name = normal(one.name) if one.kind == PYTHON else one.name
        found.append(one.replace(hash=hashes.get((_MANAGERS[one.kind], name, one.version), "")))
    return found


def components(store: Store, tree: Digest) -> list[Component]:
    """The packages that a tree holds, by kind, name and path."""

    def read(path: str) -> bytes | None:
        # Copyright files are often links to another package's.
        entry = lookup(store.trees, tree, path.encode("utf-8", "surrogateescape"), follow=True)
        return store.objects.read(entry) if entry is not None and entry.kind == FILE else None

    walked = [(path.decode("utf-8", "surrogateescape"), entry) for path, entry in walk(store.trees, tree)]
    release = read("etc/os-release") or read("usr/lib/os-release") or b""
    fields = dict(line.split("=", 1) for line in release.decode("utf-8", "replace").splitlines() if "=" in line)
    distribution = f"{fields.get('ID', '')} {fields.get('VERSION_CODENAME', '')}".replace('"', "").strip()
    found: Iterable[Component] = (
        *debian_packages(read, walked, distribution),
        *python_packages(read, walked),
        *node_packages(read, walked),
    )
    return sorted(found, key=lambda one: (one.kind, one.name.lower(), one.version, one.path))


def _hashes(image: Image) -> dict[tuple[str, str, str], str]:
    """The hashes of what steps installed, as the image's detail has them."""
    found = {}
    for stage in image.known.get("stages", []):
        for step in stage["steps"]:
            for manager, name, version, digest in step.get("packages", []):
                plain = name.rpartition("node_modules/")[2] if manager == "npm" else name.partition(":")[0]
                found[manager, plain, version] = digest
    return found
