"""What is signed: in-toto statements, each a predicate about subjects (in-toto attestation framework, "Statement" v1).

A subject is an image under a name, with the digest of its manifest in a registry, of the image as envbuild has it, or
both. The name is part of what is signed, so that a signature of one image is none of another that somebody puts in its
place.
"""

from __future__ import annotations

import json
import re
from typing import Any

from envbuild.record import Pairs, Record
from envbuild.trust.envelope import BadEnvelope, Envelope, parsed_json

PAYLOAD_TYPE = "application/vnd.in-toto+json"
STATEMENT = "https://in-toto.io/Statement/v1"
_KNOWN = (STATEMENT, "https://in-toto.io/Statement/v0.1")
MANIFEST_DIGEST = "sha256"
IMAGE_DIGEST = "envbuildImage"
"""The digest of an image's tree and facts, which is no sha256 of a file: another algorithm for whoever reads it."""
APPROVAL = "https://sigstore.dev/cosign/sign/v1"
"""The predicate that says no more than that the image is signed (cosign's `sign`)."""
PROVENANCE = "https://slsa.dev/provenance/v1"
CACHE_RECORD = "urn:envbuild:cache-record:1"
"""The predicate that says that a result of a shared cache is right."""
BILL_OF_MATERIALS = "https://cyclonedx.org/bom"
MAX_SUBJECTS = 100
_DIGITS = re.compile(r"[0-9a-f]{64}")


class Subject(Record):
    """An image: its name, "" for none, and digests by algorithm, each of 64 hexadecimal digits."""

    name: str
    digests: Pairs


class Statement(Record):
    """A predicate about subjects, and what kind it is."""

    subjects: tuple[Subject, ...]
    kind: str
    predicate: dict[str, Any]

    def encode(self) -> bytes:
        """Return the statement as it is signed: the same bytes for the same statement."""
        plain = {
            "_type": STATEMENT,
            "subject": [
                {**({"name": subject.name} if subject.name else {}), "digest": dict(subject.digests)}
                for subject in self.subjects
            ],
            "predicateType": self.kind,
            "predicate": self.predicate,
        }
        # Names of files may be no text; half a character in JSON is refused by others.
        text = json.dumps(plain, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
        return text.encode(errors="replace")


def subjects_of(name: str, image: str, manifest: str = "") -> tuple[Subject, ...]:
    """Return an image as subjects, that of the registry first: other tools look at no more."""
    subjects = [Subject(name, ((MANIFEST_DIGEST, manifest.removeprefix("sha256:")),))] if manifest else []
    return (*subjects, Subject(name, ((IMAGE_DIGEST, image),)))


def read_statement(envelope: Envelope, source: str) -> Statement:
    """Return what an envelope says, whoever signed it. Raises BadEnvelope."""
    if envelope.payload_type != PAYLOAD_TYPE:
        raise BadEnvelope(source, f"it is no statement but {envelope.payload_type[:80]!a}")
    plain = parsed_json(envelope.payload, source)
    if not isinstance(plain, dict) or plain.get("_type") not in _KNOWN:
        raise BadEnvelope(source, "it is no in-toto statement")
    kind, predicate, subjects = plain.get("predicateType"), plain.get("predicate"), plain.get("subject")
    predicate = {} if predicate is None else predicate
    if not isinstance(kind, str) or not isinstance(predicate, dict):
        raise BadEnvelope(source, "its statement says nothing")
    if not isinstance(subjects, list) or not 0 < len(subjects) <= MAX_SUBJECTS:
        raise BadEnvelope(source, f"its statement is about nothing, or about more than {MAX_SUBJECTS} things")
    return Statement(tuple(_subject(subject, source) for subject in subjects), kind, predicate)


def _subject(plain: Any, source: str) -> Subject:
    if not isinstance(plain, dict):
        raise BadEnvelope(source, "a subject of its statement can't be read")
    name, digests = plain.get("name") or "", plain.get("digest")
    if not isinstance(name, str) or not isinstance(digests, dict):
        raise BadEnvelope(source, "a subject of its statement can't be read")
    known = {
        algorithm: digits
        for algorithm in (MANIFEST_DIGEST, IMAGE_DIGEST)
        if isinstance(digits := digests.get(algorithm), str) and _DIGITS.fullmatch(digits)
    }
    return Subject(name, tuple(known.items()))
