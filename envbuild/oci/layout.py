"""An image's manifest, and the files of an OCI image layout (OCI image specification, "OCI Image Layout") and of
docker's archives (moby's image specification 1.2, "Combined Image JSON + Filesystem Changeset Format")."""

from __future__ import annotations

import json
from collections.abc import Sequence

from envbuild.oci.descriptor import (
    CONFIG,
    CONTAINERD_NAME,
    INDEX,
    MANIFEST,
    REF_NAME,
    Descriptor,
    descriptor_of,
    json_bytes,
)
from envbuild.record import Pairs

LAYOUT = "oci-layout", json_bytes({"imageLayoutVersion": "1.0.0"})
"""The name and the content of the file that says what a folder is."""
INDEX_NAME, MANIFEST_NAME = "index.json", "manifest.json"
BLOBS = "blobs/sha256"
MAX_INDEX = 4 << 20
"""Bytes of an index that is read: as much as registries take of a manifest (distribution specification 1.1)."""


def manifest_of(config: Descriptor, layers: Sequence[Descriptor], annotations: Pairs = ()) -> bytes:
    """Return the manifest of an image."""
    return json_bytes(
        {
            "schemaVersion": 2,
            "mediaType": MANIFEST,
            "config": config.plain(),
            "layers": [layer.plain() for layer in layers],
            **({"annotations": dict(annotations)} if annotations else {}),
        }
    )


def entry_of(manifest: bytes, platform: dict[str, str], name: str, tag: str) -> Descriptor:
    """Return how an index names an image."""
    names = tuple(sorted({REF_NAME: tag, CONTAINERD_NAME: f"{name}:{tag}"}.items()))
    return descriptor_of(MANIFEST, manifest, names).replace(platform=tuple(sorted(platform.items())))


def index_with(entry: Descriptor, before: bytes | None) -> bytes:
    """Return an index with one image more than `before`, in the place of one of the same name. Raises ValueError if
    `before` is no index."""
    kept: list[object] = []
    rest: dict[str, object] = {"schemaVersion": 2, "mediaType": INDEX}
    if before is not None:
        plain = json.loads(before)
        if not isinstance(plain, dict) or not isinstance(plain.get("manifests"), list):
            raise ValueError("it has no list of manifests")
        rest = {**rest, **plain}
        kept = [other for other in plain["manifests"] if not _has_name(other, dict(entry.annotations)[REF_NAME])]
    return json_bytes({**rest, "manifests": [*kept, entry.plain()]})


def docker_manifest(config: str, layers: Sequence[str], name: str) -> bytes:
    """Return what docker looks for in an archive: the digests of the configuration and of the layers, as paths."""
    return json_bytes(
        [
            {
                "Config": blob_path(config),
                "Layers": [blob_path(layer) for layer in layers],
                "RepoTags": [name],
            }
        ]
    )


def config_descriptor(config: bytes) -> Descriptor:
    """Return what names a configuration."""
    return descriptor_of(CONFIG, config)


def blob_path(digest: str) -> str:
    """Return where a blob lies in a layout."""
    return f"{BLOBS}/{digest.removeprefix('sha256:')}"


def _has_name(manifest: object, name: str) -> bool:
    annotations = manifest.get("annotations") if isinstance(manifest, dict) else None
    return isinstance(annotations, dict) and annotations.get(REF_NAME) == name
