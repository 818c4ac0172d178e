"""The result of a step, or a base, as it lies in a registry for other machines: under a tag that follows from its key,
in the manifest of an artifact, with a pack of what it changed (tree_pack.py). What is small lies in the record itself,
so that one request brings it.

A chain has the records of all steps of a stage in one manifest: one request in place of one for each step. It is a
hint alone, as whoever wrote it last has it; each record counts by its own key.
"""

from __future__ import annotations

import base64
import math
import re
from collections.abc import Sequence
from typing import Any

from envbuild.oci.artifact import Artifact, artifact_manifest, read_artifact
from envbuild.oci.descriptor import Descriptor, descriptor_of, json_bytes
from envbuild.oci.manifest import MAX_LAYERS, BadImage, object_from
from envbuild.record import Record
from envbuild.tree.entry import Digest

KIND = "application/vnd.envbuild.step.v1"
CHAIN = "application/vnd.envbuild.chain.v1"
PART = "application/vnd.envbuild.pack.v1+zstd"
RECORDS = "dev.envbuild.records"
"""The annotation that has the records: in the manifest itself, so that no further request is needed for them."""
FORMAT = 1
MAX_INLINE = 8 << 10
"""Bytes of a part that lies in the record."""
MAX_RECORDS = 3 << 20
"""Bytes of the records of a chain; registries take manifests of up to 4 MiB."""
MAX_OUTPUT = 16 << 10
"""Bytes of what a step printed that are kept with it; of more, nothing is."""
MAX_BLOB = 16 << 30
_KEY = re.compile(r"[0-9a-f]{64}")
_MAX_BASE = 1 << 20
_MAX_NETWORK = 256 << 10


class Part(Record):
    """A part of a pack: bytes that lie in the record, or else what names the blob that has them."""

    data: bytes = b""
    blob: Descriptor | None = None

    @property
    def is_empty(self) -> bool:
        """Whether there is nothing."""
        return not self.data and self.blob is None


class SharedStep(Record):
    """A step's result under its key: its tree, and what that has that `parent` lacks, which is the tree that the step
    stood on, "" for a base. `output` is what it printed, b"" where that is not there; `network` the record of its
    network (store/network_record.py) and `base` what is known of a base, both as text."""

    key: str
    tree: Digest
    parent: Digest
    owners_kept: bool
    seconds: float
    index: Part = Part()
    contents: Part = Part()
    output: bytes = b""
    network: str = ""
    base: str = ""

    @property
    def blobs(self) -> tuple[Descriptor, ...]:
        """The blobs that it needs."""
        return tuple(part.blob for part in (self.index, self.contents) if part.blob is not None)


def tag_of(kind: str, key: str) -> str:
    """Return the tag of a record: `step-KEY`, `base-KEY` or `chain-KEY`."""
    return f"{kind}-{key}"


def part_of(data: bytes) -> Part:
    """Return bytes as a part: in the record if they are few."""
    if len(data) <= MAX_INLINE:
        return Part(data)
    return Part(b"", descriptor_of(PART, data))


def manifest_of_step(step: SharedStep) -> bytes:
    """Return the manifest of one record."""
    return _manifest(KIND, (step,))


def manifest_of_chain(steps: Sequence[SharedStep]) -> bytes:
    """Return the manifest of a chain: of its first steps where they are too many for one."""
    kept: list[SharedStep] = []
    size = blobs = 0
    for step in steps:
        size += len(json_bytes(_plain(step))) * 6 // 5  # as a string in JSON it gets longer
        blobs += len(step.blobs)
        if size > MAX_RECORDS or blobs > MAX_LAYERS:
            break
        kept.append(step)
    return _manifest(CHAIN, kept)


def read_records(manifest: bytes, source: str) -> list[SharedStep]:
    """Return the records of a manifest. Raises BadImage."""
    artifact = read_artifact(manifest, source)
    if artifact.kind not in (KIND, CHAIN):
        raise BadImage(source, f"it is no result of a step but {artifact.kind[:80]!a}")
    text = dict(artifact.annotations).get(RECORDS, "")
    plain = object_from(text.encode("utf-8", "replace"), source, MAX_RECORDS * 2, "the records")
    if plain.get("format") != FORMAT:
        raise BadImage(source, "its records are of a form that this version does not know")
    steps = plain.get("steps")
    if not isinstance(steps, list):
        raise BadImage(source, "it has no records")
    try:
        return [_parsed(step) for step in steps]
    except (KeyError, TypeError, ValueError) as error:
        raise BadImage(source, f"a record is damaged: {error}") from error


def _manifest(kind: str, steps: Sequence[SharedStep]) -> bytes:
    text = json_bytes({"format": FORMAT, "steps": [_plain(step) for step in steps]}).decode()
    blobs = dict.fromkeys(blob for step in steps for blob in step.blobs)
    return artifact_manifest(Artifact(kind, tuple(blobs), ((RECORDS, text),)))


def _plain(step: SharedStep) -> dict[str, Any]:
    plain: dict[str, Any] = {
        "key": step.key,
        "tree": step.tree,
        "parent": step.parent,
        "owners_kept": step.owners_kept,
        "seconds": round(step.seconds, 3),
        "index": _plain_part(step.index),
        "contents": _plain_part(step.contents),
    }
    if step.output:
        plain["output"] = base64.b64encode(step.output).decode()
    if step.network:
        plain["network"] = step.network
    if step.base:
        plain["base"] = step.base
    return plain


def _plain_part(part: Part) -> object:
    if part.blob is not None:
        return [part.blob.digest, part.blob.size]
    return base64.b64encode(part.data).decode()


def _parsed(plain: dict[str, Any]) -> SharedStep:
    seconds = plain["seconds"]
    if isinstance(seconds, bool) or not isinstance(seconds, int | float) or not math.isfinite(seconds):
        raise ValueError("it took no time")
    if not isinstance(plain["owners_kept"], bool):
        raise ValueError("it does not say whether owners were kept")
    return SharedStep(
        _hex(plain["key"]),
        _hex(plain["tree"]),
        _hex(plain["parent"]) if plain["parent"] != "" else "",
        plain["owners_kept"],
        min(max(0.0, float(seconds)), 1e7),
        _part(plain["index"]),
        _part(plain["contents"]),
        _bytes(plain.get("output", ""), MAX_OUTPUT),
        _text(plain.get("network", ""), _MAX_NETWORK),
        _text(plain.get("base", ""), _MAX_BASE),
    )


def _part(plain: object) -> Part:
    if isinstance(plain, str):
        return Part(_bytes(plain, MAX_INLINE))
    digest, size = plain if isinstance(plain, list) else (None, None)
    if not isinstance(digest, str) or not re.fullmatch(r"sha256:[0-9a-f]{64}", digest):
        raise ValueError("a part without a digest")
    if isinstance(size, bool) or not isinstance(size, int) or not 0 < size <= MAX_BLOB:
        raise ValueError("a part of a size that nothing has")
    return Part(b"", Descriptor(PART, digest, size))


def _hex(text: object) -> str:
    if not isinstance(text, str) or not _KEY.fullmatch(text):
        raise ValueError("a key or tree that is none")
    return text


def _text(text: object, most: int) -> str:
    if not isinstance(text, str) or len(text) > most:
        raise ValueError("a text that is none, or too long")
    return text


def _bytes(text: object, most: int) -> bytes:
    data = base64.b64decode(_text(text, most * 4 // 3 + 4), validate=True)
    if len(data) > most:
        raise ValueError("more than a record may hold")
    return data
