"""Media types and descriptors (OCI image specification 1.1, "Content Descriptors"), and the one form of our JSON."""

from __future__ import annotations

import json
from hashlib import sha256

from envbuild.record import Pairs, Record

MANIFEST = "application/vnd.oci.image.manifest.v1+json"
INDEX = "application/vnd.oci.image.index.v1+json"
CONFIG = "application/vnd.oci.image.config.v1+json"
LAYER = "application/vnd.oci.image.layer.v1.tar"
LAYER_GZIP, LAYER_ZSTD = f"{LAYER}+gzip", f"{LAYER}+zstd"
DOCKER_MANIFEST = "application/vnd.docker.distribution.manifest.v2+json"
DOCKER_INDEX = "application/vnd.docker.distribution.manifest.list.v2+json"
DOCKER_CONFIG = "application/vnd.docker.container.image.v1+json"
DOCKER_LAYER = "application/vnd.docker.image.rootfs.diff.tar"
DOCKER_LAYER_GZIP, DOCKER_LAYER_ZSTD = f"{DOCKER_LAYER}.gzip", f"{DOCKER_LAYER}.zstd"
EMPTY_TYPE = "application/vnd.oci.empty.v1+json"
REF_NAME = "org.opencontainers.image.ref.name"
"""The annotation under which an index has the tag of an image (specification, "Pre-Defined Annotation Keys")."""
CONTAINERD_NAME = "io.containerd.image.name"
"""The annotation under which containerd, and docker with it, looks for the whole name."""


class Descriptor(Record):
    """What names a blob: its media type, its digest (`sha256:` and 64 hexadecimal digits) and its size in bytes."""

    media_type: str
    digest: str
    size: int
    annotations: Pairs = ()
    platform: Pairs = ()

    def plain(self) -> dict[str, object]:
        """Return the descriptor as JSON types."""
        plain: dict[str, object] = {"mediaType": self.media_type, "digest": self.digest, "size": self.size}
        if self.annotations:
            plain["annotations"] = dict(self.annotations)
        if self.platform:
            plain["platform"] = dict(self.platform)
        return plain


def json_bytes(plain: object) -> bytes:
    """Return JSON with sorted names and without spaces: the same bytes for the same values everywhere."""
    return json.dumps(plain, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode()


def descriptor_of(media_type: str, content: bytes, annotations: Pairs = ()) -> Descriptor:
    """Return what names these bytes."""
    return Descriptor(media_type, f"sha256:{sha256(content).hexdigest()}", len(content), annotations)
