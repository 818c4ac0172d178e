"""Indexes, manifests and configurations of others, read into types that refuse what they don't understand.

The OCI image specification's forms and docker's (distribution's "Image Manifest Version 2, Schema 2"), which differ in
their media types alone. Whatever stands in them was chosen by whoever made the image.
"""

from __future__ import annotations

import json
import re
from typing import Any

from envbuild.errors import UsageError, fields
from envbuild.oci.descriptor import (
    CONFIG,
    DOCKER_CONFIG,
    DOCKER_INDEX,
    DOCKER_LAYER,
    DOCKER_LAYER_GZIP,
    DOCKER_LAYER_ZSTD,
    DOCKER_MANIFEST,
    INDEX,
    LAYER,
    LAYER_GZIP,
    LAYER_ZSTD,
    MANIFEST,
    Descriptor,
)
from envbuild.record import Pairs, Record

INDEXES = (INDEX, DOCKER_INDEX)
MANIFESTS = (MANIFEST, DOCKER_MANIFEST)
_CONFIGS = (CONFIG, DOCKER_CONFIG)
_LAYERS = (LAYER, LAYER_GZIP, LAYER_ZSTD, DOCKER_LAYER, DOCKER_LAYER_GZIP, DOCKER_LAYER_ZSTD)
MAX_DOCUMENT = 4 << 20
"""Bytes of an index or manifest; more is refused by registries, too (distribution specification 1.1)."""
MAX_CONFIG = 16 << 20
MAX_LAYERS = 1000
"""More than any tool makes: docker's own limit is 127."""
MAX_SIZE = 1 << 40
_DIGEST = re.compile(r"sha256:[0-9a-f]{64}")
_DIFF_IDS = "rootfs.diff_ids"


@fields
class BadImage(UsageError):
    """An image of others that is damaged, or not an image as the specification has it."""

    source: str
    reason: str
    mend: str = "make it or get it again"

    def text(self) -> tuple[str, str]:
        return f"{self.source}: {self.reason}", self.mend


class Manifest(Record):
    """An image: its configuration and layers, lowest first, and what is noted beside them."""

    config: Descriptor
    layers: tuple[Descriptor, ...]
    annotations: Pairs = ()


class Config(Record):
    """A configuration. `settings` is its `config`, `own` what is under `envbuild`; both are as they were read."""

    architecture: str
    variant: str
    created: str
    diff_ids: tuple[str, ...]
    settings: dict[str, Any]
    own: dict[str, Any]
    history: tuple[str, ...] = ()
    titles: tuple[str, ...] = ()
    """The lines of the history that have a layer."""


def read_index(content: bytes, source: str) -> list[Descriptor]:
    """Return what an index names. Raises BadImage."""
    plain = object_from(content, source, MAX_DOCUMENT, "an index")
    manifests = plain.get("manifests")
    if not isinstance(manifests, list) or len(manifests) > MAX_LAYERS:
        raise BadImage(source, "its index has no list of manifests")
    return [descriptor_from(item, source, "a manifest of its index") for item in manifests]


def read_manifest(content: bytes, source: str) -> Manifest:
    """Return what a manifest says. Raises BadImage."""
    plain = object_from(content, source, MAX_DOCUMENT, "a manifest")
    if plain.get("schemaVersion") != 2:
        raise BadImage(source, f"its manifest has schema {plain.get('schemaVersion')!r}, and not 2")
    layers = plain.get("layers")
    if not isinstance(layers, list) or len(layers) > MAX_LAYERS:
        raise BadImage(source, "its manifest has no list of layers, or one of more than 1000")
    config = descriptor_from(plain.get("config"), source, "the configuration")
    if config.media_type not in _CONFIGS:
        raise BadImage(source, f"it is no image but {config.media_type[:80]!a}", "name an image")
    parsed = tuple(descriptor_from(layer, source, f"layer {number}") for number, layer in enumerate(layers, 1))
    for number, layer in enumerate(parsed, 1):
        if layer.media_type.replace("nondistributable.", "") not in _LAYERS:
            raise BadImage(source, f"layer {number} is of the unknown type {layer.media_type[:80]!a}")
    return Manifest(config, parsed, _pairs(plain.get("annotations")))


def read_config(content: bytes, source: str) -> Config:
    """Return what a configuration says. Raises BadImage."""
    plain = object_from(content, source, MAX_CONFIG, "a configuration")
    rootfs = plain.get("rootfs")
    ids = rootfs.get("diff_ids") if isinstance(rootfs, dict) else None
    if not isinstance(ids, list) or not all(isinstance(item, str) and _DIGEST.fullmatch(item) for item in ids):
        raise BadImage(source, f"its configuration has no {_DIFF_IDS}")
    if plain.get("os", "linux") != "linux":
        raise BadImage(source, f"it is for {str(plain['os'])[:40]!a}, and not for linux", "name an image for linux")
    known = plain.get("history")
    history = [_dict(item) for item in known] if isinstance(known, list) else []
    return Config(
        _text(plain.get("architecture")),
        _text(plain.get("variant")),
        _text(plain.get("created")),
        tuple(ids),
        _dict(plain.get("config")),
        _dict(plain.get("envbuild")),
        tuple(_text(item.get("created_by")) for item in history),
        tuple(_text(item.get("created_by")) for item in history if item.get("empty_layer") is not True),
    )


def read_docker_manifest(content: bytes, source: str) -> list[dict[str, Any]]:
    """Return the images of a docker archive: each with `Config`, `Layers` and `RepoTags`. Raises BadImage."""
    plain = _parsed(content, source, MAX_DOCUMENT, "the manifest of a docker archive")
    if not isinstance(plain, list) or not plain or not all(isinstance(item, dict) for item in plain):
        raise BadImage(source, "its manifest.json names no images")
    for item in plain:
        layers, tags = item.get("Layers"), item.get("RepoTags") or []
        texts = [item.get("Config"), *(layers if isinstance(layers, list) else [None]), *tags]
        if not isinstance(tags, list) or not all(isinstance(text, str) for text in texts):
            raise BadImage(source, "its manifest.json is not as docker writes it")
        if len(texts) > MAX_LAYERS:
            raise BadImage(source, "its manifest.json names more than 1000 layers")
    return plain


def check_digest(text: object, source: str, what: str) -> str:
    """Return a digest as it is. Raises BadImage for what is none of sha256."""
    if not isinstance(text, str) or not _DIGEST.fullmatch(text):
        raise BadImage(source, f"{what} has no sha256 digest")
    return text


def descriptor_from(plain: object, source: str, what: str) -> Descriptor:
    """Return a descriptor that somebody else wrote; `what` it names, for messages. Raises BadImage."""
    if not isinstance(plain, dict):
        raise BadImage(source, f"{what} is no descriptor")
    size = plain.get("size")
    if not isinstance(size, int) or isinstance(size, bool) or not 0 <= size <= MAX_SIZE:
        raise BadImage(source, f"{what} has no size")
    if plain.get("urls") and not plain.get("digest"):
        raise BadImage(source, f"{what} is only to be had elsewhere")
    digest = check_digest(plain.get("digest"), source, what)
    return Descriptor(
        _text(plain.get("mediaType")),
        digest,
        size,
        _pairs(plain.get("annotations")),
        _pairs(plain.get("platform")),
    )


def object_from(content: bytes, source: str, most: int, what: str) -> dict[str, Any]:
    """Return the JSON object that these bytes are; `what` it is, for messages. Raises BadImage, also for more than
    `most` bytes."""
    plain = _parsed(content, source, most, what)
    if not isinstance(plain, dict):
        raise BadImage(source, f"{what} that is no JSON object")
    return plain


def _parsed(content: bytes, source: str, most: int, what: str) -> Any:
    if len(content) > most:
        raise BadImage(source, f"{what} of more than {most:,} bytes")
    try:
        return json.loads(content)
    except (ValueError, RecursionError) as error:
        raise BadImage(source, f"{what} that is no JSON") from error


def _text(value: object) -> str:
    return value if isinstance(value, str) else ""


def _dict(value: object) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}


def _pairs(value: object) -> tuple[tuple[str, str], ...]:
    return tuple(sorted((key, text) for key, text in _dict(value).items() if isinstance(text, str)))
