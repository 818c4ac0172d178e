"""An image of others before it is taken in, and which of several is for a machine."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Protocol

from envbuild.oci.descriptor import CONTAINERD_NAME, REF_NAME, Descriptor
from envbuild.oci.manifest import INDEXES, MANIFESTS, BadImage, Config, read_index
from envbuild.record import Record
from envbuild.sharing.part import Part

MAX_NESTED = 2
"""How deep indexes of indexes are followed."""
_ATTESTATION = "vnd.docker.reference.type"
"""The annotation of what BuildKit puts beside an image and is none (moby/buildkit, docs/attestations)."""


class LayerFile(Record):
    """A layer where it lies: what it is called in messages, and the digest of the blob, "" if none is known."""

    place: str
    digest: str
    size: int


class ImageInFile(Record):
    """One image: its layers, lowest first, its configuration, and what it is called, "" for nothing."""

    config: Config
    layers: tuple[LayerFile, ...]
    name: str


class LayerSource(Protocol):
    """Where the layers of images are; `shown` is what it is called in messages."""

    shown: str

    def open(self, layer: LayerFile, /) -> Part:
        """Return a layer's bytes as they lie there."""
        ...

    def size_of(self, layer: LayerFile, /) -> int:
        """Return how many bytes they are."""
        ...


def checked(image: ImageInFile, source: str) -> ImageInFile:
    """Return an image whose configuration speaks of as many layers as it has. Raises BadImage."""
    if len(image.layers) != len(image.config.diff_ids):
        raise BadImage(
            source, f"it has {len(image.layers)} layers, and its configuration speaks of {len(image.config.diff_ids)}"
        )
    return image


def chosen(
    index: Sequence[Descriptor], architecture: str, variant: str, source: str, read: Callable[[Descriptor], bytes]
) -> list[tuple[Descriptor, str]]:
    """Return the manifests of an index that fit a platform, each once, with what each is called. `read` returns an
    index that this one names. Raises BadImage."""
    fitting = _fitting(index, architecture, variant, source, read, MAX_NESTED, "")
    if not fitting:
        offered = sorted({"/".join(filter(None, _platform(descriptor))) for descriptor in index} - {""})
        raise BadImage(
            source,
            f"it has no image for {architecture}" + (f", but for {', '.join(offered[:8])}" if offered else ""),
            "name one of its platforms with --platform" if offered else "make it or get it again",
        )
    return list(fitting.values())


def _fitting(
    index: Sequence[Descriptor],
    architecture: str,
    variant: str,
    source: str,
    read: Callable[[Descriptor], bytes],
    depth: int,
    name: str,
) -> dict[str, tuple[Descriptor, str]]:
    fitting: dict[str, tuple[Descriptor, str]] = {}
    for descriptor in index:
        annotations, platform = dict(descriptor.annotations), dict(descriptor.platform)
        called = annotations.get(CONTAINERD_NAME) or annotations.get(REF_NAME) or name
        if _ATTESTATION in annotations:
            continue
        if descriptor.media_type in INDEXES:
            if depth == 0:
                raise BadImage(source, "its indexes name indexes that name indexes")
            inner = read_index(read(descriptor), source)
            for digest, pair in _fitting(inner, architecture, variant, source, read, depth - 1, called).items():
                fitting.setdefault(digest, pair)
        elif descriptor.media_type in MANIFESTS and _fits(platform, architecture, variant):
            fitting.setdefault(descriptor.digest, (descriptor, called))
    return fitting


def _fits(platform: dict[str, str], architecture: str, variant: str) -> bool:
    if not platform:
        return True
    if platform.get("os", "linux") != "linux" or platform.get("architecture") != architecture:
        return False
    return not variant or not platform.get("variant") or platform["variant"] == variant


def _platform(descriptor: Descriptor) -> tuple[str, str]:
    platform = dict(descriptor.platform)
    return platform.get("architecture", ""), platform.get("variant", "")
