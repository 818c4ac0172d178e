"""An envelope as other tools take it: sigstore's bundle 0.3 (sigstore/protobuf-specs, sigstore_bundle.proto), which
names the key that signed, and has no entry of a log."""

from __future__ import annotations

import json

from envbuild.trust.envelope import BadEnvelope, Envelope, parsed_json, read_envelope, sign
from envbuild.trust.keys import PrivateKey
from envbuild.trust.statement import PAYLOAD_TYPE, Statement

BUNDLE = "application/vnd.dev.sigstore.bundle.v0.3+json"
KINDS = (BUNDLE, "application/vnd.dev.sigstore.bundle+json;version=0.3")
CONTENT, PREDICATE = "dev.sigstore.bundle.content", "dev.sigstore.bundle.predicateType"
"""Annotations of a bundle's manifest, as cosign writes them."""


def signed_bundle(statement: Statement, key: PrivateKey) -> bytes:
    """Return a statement, signed, as a bundle."""
    envelope = sign(PAYLOAD_TYPE, statement.encode(), key)
    plain = {
        "mediaType": BUNDLE,
        "verificationMaterial": {"publicKey": {"hint": key.public.identity}, "tlogEntries": []},
        "dsseEnvelope": envelope.plain(),
    }
    return json.dumps(plain, sort_keys=True, separators=(",", ":")).encode()


def read_bundle(content: bytes, source: str) -> Envelope:
    """Return the envelope of a bundle. Raises BadEnvelope."""
    plain = parsed_json(content, source)
    if not isinstance(plain, dict) or plain.get("mediaType") not in KINDS:
        raise BadEnvelope(source, "it is no bundle of version 0.3")
    return read_envelope(plain.get("dsseEnvelope"), source)
