"""Artifacts: what a registry keeps beside images, such as signatures and results of steps, each under a manifest of its
own (OCI image specification 1.1, "Guidelines for Artifact Usage").

An artifact says what kind it is, has its content as layers, and may say which manifest it is about.
"""

from __future__ import annotations

from envbuild.oci.descriptor import EMPTY_TYPE, MANIFEST, Descriptor, descriptor_of, json_bytes
from envbuild.oci.manifest import MAX_DOCUMENT, MAX_LAYERS, BadImage, descriptor_from, object_from
from envbuild.record import Pairs, Record

EMPTY_CONTENT = b"{}"
EMPTY = descriptor_of(EMPTY_TYPE, EMPTY_CONTENT)
"""What names the configuration of an artifact that has none; it has to be in the registry as any other blob."""


class Artifact(Record):
    """An artifact of a kind (a media type), with its content. `subject` is the manifest that it is about."""

    kind: str
    layers: tuple[Descriptor, ...]
    annotations: Pairs = ()
    subject: Descriptor | None = None
    config: Descriptor = EMPTY


def artifact_manifest(artifact: Artifact) -> bytes:
    """Return the manifest: the same bytes for the same artifact. One without content has the empty blob as its layer,
    since registries want at least one."""
    return json_bytes(
        {
            "schemaVersion": 2,
            "mediaType": MANIFEST,
            "artifactType": artifact.kind,
            "config": artifact.config.plain(),
            "layers": [layer.plain() for layer in artifact.layers or (EMPTY,)],
            **({"subject": artifact.subject.plain()} if artifact.subject is not None else {}),
            **({"annotations": dict(artifact.annotations)} if artifact.annotations else {}),
        }
    )


def read_artifact(content: bytes, source: str) -> Artifact:
    """Return what the manifest of an artifact says; one without a kind is of the kind of its configuration, as the
    specification has it. Raises BadImage."""
    plain = object_from(content, source, MAX_DOCUMENT, "a manifest")
    if plain.get("schemaVersion") != 2 or plain.get("mediaType", MANIFEST) != MANIFEST:
        raise BadImage(source, "it is not the manifest of an artifact")
    layers = plain.get("layers")
    if not isinstance(layers, list) or len(layers) > MAX_LAYERS:
        raise BadImage(source, f"its manifest has no list of layers, or one of more than {MAX_LAYERS}")
    config = descriptor_from(plain.get("config"), source, "the configuration")
    kind = plain.get("artifactType", config.media_type)
    if not isinstance(kind, str) or not kind:
        raise BadImage(source, "its manifest does not say what it is")
    subject = plain.get("subject")
    annotations = plain.get("annotations", {})
    if not isinstance(annotations, dict) or not all(isinstance(text, str) for text in annotations.values()):
        raise BadImage(source, "its annotations are not texts")
    return Artifact(
        kind,
        tuple(descriptor_from(layer, source, f"layer {number}") for number, layer in enumerate(layers, 1)),
        tuple(sorted(annotations.items())),
        None if subject is None else descriptor_from(subject, source, "its subject"),
        config,
    )
