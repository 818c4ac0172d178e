"""What a registry has about an image: artifacts whose subject is the image's manifest (distribution specification 1.1,
"Listing Referrers").

A registry that does not know of subjects is told by a tag that is made of the digest, and names an index of them
("Referrers Tag Schema"). Nobody can change such an index alone: whoever adds to it looks again whether that is still
there, and adds it once more if another writer came in between.
"""

from __future__ import annotations

import io
import json
import random
import time
from collections.abc import Iterator, Sequence
from itertools import islice
from typing import Any

from envbuild.oci.artifact import EMPTY, EMPTY_CONTENT, Artifact, artifact_manifest, read_artifact
from envbuild.oci.descriptor import EMPTY_TYPE, INDEX, MANIFEST, Descriptor, descriptor_of, json_bytes
from envbuild.oci.manifest import BadImage, descriptor_from
from envbuild.record import Pairs, Record
from envbuild.registry.client import Repository
from envbuild.registry.errors import BadAnswer, NotInRegistry, RegistryRefuses
from envbuild.registry.reference import RegistryReference
from envbuild.registry.upload import Source, upload

MAX_REFERRERS = 100
"""Artifacts of a kind that are looked at."""
MAX_CONTENT = 64 << 20
"""Bytes of all that is fetched of them."""
_MAX_LISTED = 20_000
_UNSAID = ("", EMPTY_TYPE)
"""What an index has as the kind of an artifact where its writer took the configuration's for it, as cosign 3.1 does."""
_UNKNOWN_PATH = (400, 405, 406, 501)
"""What registries say beside 404 to a path of the interface that they don't know."""
_ATTEMPTS = 8
_SETTLED = 0.15
"""Seconds after which another writer's index, which was read before ours came, has most likely come, too."""


class NewReferrer(Record):
    """An artifact that is to be put beside an image: its kind, which is also its content's media type."""

    kind: str
    content: bytes
    annotations: Pairs = ()


class Referrer(Record):
    """An artifact about an image: what names its manifest, and its kind, "" where the index does not say."""

    descriptor: Descriptor
    kind: str


def referrers(repository: Repository, subject: str, kinds: Sequence[str]) -> list[Referrer]:
    """Return the artifacts of these kinds about the manifest of a digest, at most MAX_REFERRERS. Raises BadAnswer and
    what asking raises."""
    known = []
    for referrer in _listed(repository, subject):
        if referrer.kind in (*kinds, *_UNSAID):
            known.append(referrer)
            if len(known) == MAX_REFERRERS:
                break
    return known


def contents(repository: Repository, subject: str, kinds: Sequence[str], most: int) -> Iterator[bytes]:
    """Yield the content of each artifact of these kinds about a manifest, each of at most so many bytes. What is not as
    it has to be is left out: anybody may have put it there. Raises what asking raises."""
    left = MAX_CONTENT
    for referrer in referrers(repository, subject, kinds):
        try:
            artifact = read_artifact(repository.named_manifest(referrer.descriptor), repository.path)
            about = artifact.subject.digest if artifact.subject is not None else ""
            if artifact.kind not in kinds or about != subject or len(artifact.layers) != 1:
                continue
            (layer,) = artifact.layers
            if layer.media_type not in kinds or layer.size > left:
                continue
            content = repository.small_blob(layer, most, "a signature")
        except (BadImage, BadAnswer, NotInRegistry):
            continue
        left -= len(content)
        yield content


def attach(repository: Repository, subject: Descriptor, artifacts: Sequence[NewReferrer]) -> None:
    """Put artifacts about a manifest into its repository; nothing changes where they are there. Raises BadAnswer and
    what asking and uploading raise."""
    about = Descriptor(subject.media_type, subject.digest, subject.size)
    unnoted: list[dict[str, object]] = []
    _send(repository, EMPTY, EMPTY_CONTENT)
    for artifact in artifacts:
        layer = descriptor_of(artifact.kind, artifact.content)
        _send(repository, layer, artifact.content)
        manifest = artifact_manifest(Artifact(artifact.kind, (layer,), artifact.annotations, about))
        described = descriptor_of(MANIFEST, manifest, artifact.annotations)
        if repository.put_manifest(described.digest, MANIFEST, manifest) != subject.digest:
            unnoted.append({**described.plain(), "artifactType": artifact.kind})
    if unnoted:
        _add_to_tag(repository, subject.digest, unnoted)


def _send(repository: Repository, blob: Descriptor, content: bytes) -> None:
    if not repository.has_blob(blob.digest, blob.size):
        upload(repository, Source(blob.digest, blob.size, lambda: io.BytesIO(content), lambda at: True))


def tag_of(subject: str) -> str:
    """Return the tag that names the index of a manifest's referrers."""
    return subject.replace(":", "-", 1)


def _listed(repository: Repository, subject: str) -> Iterator[Referrer]:
    try:
        entries = list(islice(repository.referrers(subject), _MAX_LISTED))
    except NotInRegistry:
        entries = []
    except RegistryRefuses as error:
        if error.status not in _UNKNOWN_PATH:
            raise
        entries = []
    # A registry that learnt of subjects later has the older artifacts under the tag alone.
    yield from read_entries(entries or _index(repository, subject)[1][:_MAX_LISTED], repository.path)


def read_entries(entries: Sequence[Any], source: str) -> Iterator[Referrer]:
    """Yield what the entries of an index name, as far as that can be read."""
    for entry in entries:
        try:
            descriptor = descriptor_from(entry, source, "a referrer")
        except BadImage:
            continue
        kind = entry.get("artifactType", "")
        yield Referrer(descriptor, kind if isinstance(kind, str) else "")


def _index(repository: Repository, subject: str) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    """Return the index under a manifest's tag, and its entries; an empty one where there is none."""
    empty: dict[str, Any] = {"schemaVersion": 2, "mediaType": INDEX}
    try:
        reference = RegistryReference(repository.host, repository.path, tag_of(subject))
        _, content = repository.manifest(reference)
    except NotInRegistry:
        return empty, []
    try:
        plain = json.loads(content)
        entries = plain["manifests"]
        if plain.get("mediaType", INDEX) == INDEX and isinstance(entries, list):
            return {**plain, "mediaType": INDEX}, [entry for entry in entries if isinstance(entry, dict)]
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        pass
    raise BadAnswer(repository.host, f"the referrers of {subject[:19]}", "its tag does not name an index of them")


def _add_to_tag(repository: Repository, subject: str, new: Sequence[dict[str, object]]) -> None:
    """Add entries to the index under a manifest's tag, until they stay there."""
    stayed = False
    for _ in range(_ATTEMPTS):
        index, entries = _index(repository, subject)
        known = {entry.get("digest") for entry in entries}
        missing = [entry for entry in new if entry["digest"] not in known]
        if stayed and not missing:
            return
        stayed = not missing
        if missing:
            content = json_bytes({**index, "manifests": [*entries, *missing]})
            repository.put_manifest(tag_of(subject), INDEX, content)
        time.sleep(_SETTLED * (1 + random.random()))
    raise BadAnswer(repository.host, f"the referrers of {subject[:19]}", "others write over what is added; try again")
