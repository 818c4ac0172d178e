"""What an npm registry says of packages whose versions a lock names already: their hashes, and where they run."""

from __future__ import annotations

from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from urllib.parse import quote

from urllib3.exceptions import HTTPError

from envbuild.http.connections import MAX_PARALLEL, Connections
from envbuild.packages.documents import Fields, fields_of
from envbuild.packages.errors import Unresolved
from envbuild.packages.node_locks.graph import NodePackage

ACCEPT = "application/vnd.npm.install-v1+json"
"""The short form of a package's metadata (npm's registry documentation, package-metadata)."""


def described(
    packages: Mapping[str, NodePackage], registries: Mapping[str, str], connections: Connections
) -> dict[str, NodePackage]:
    """Return packages with what the registries say of them that their lock does not; the keys of both are the same.
    Raises Unresolved and BadDocument."""

    def describe(key: str) -> NodePackage:
        return _described(packages[key], registries[key], connections)

    with ThreadPoolExecutor(MAX_PARALLEL, "metadata") as pool:
        return dict(zip(packages, pool.map(describe, packages), strict=True))


def _described(package: NodePackage, registry: str, connections: Connections) -> NodePackage:
    address = f"{registry}/{quote(package.name, safe='@')}"
    try:
        page = connections.read(address, {"Accept": ACCEPT})
    except HTTPError as error:
        raise Unresolved("npm", f"the registry says nothing of {package.name}: {error}") from error
    versions = fields_of(page.content, address).fields("versions") if page.status == 200 else None
    if versions is None or package.version not in versions.names():
        raise Unresolved("npm", f"the registry has no {package.name} {package.version}, which the project's lock names")
    metadata = versions.fields(package.version)
    dist = metadata.fields("dist")
    return replace(
        package,
        integrity=package.integrity or dist.text("integrity", ""),
        place=package.place or dist.text("tarball", ""),
        os=_texts(metadata, "os"),
        cpu=_texts(metadata, "cpu"),
        libc=_texts(metadata, "libc"),
    )


def _texts(metadata: Fields, name: str) -> tuple[str, ...]:
    value = metadata.any(name)
    return tuple(map(str, value)) if isinstance(value, list) else (value,) if isinstance(value, str) else ()
