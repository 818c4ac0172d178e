"""Signatures of what lies in a shared cache. A record has its signature in its own manifest, so that one request brings
both; what is signed is the text of the records, which says all that is taken of it, and the name of the cache."""

from __future__ import annotations

import json
from hashlib import sha256
from typing import Any

from envbuild.oci.descriptor import json_bytes
from envbuild.sharing.shared_step import RECORDS
from envbuild.trust.bundle import signed_bundle
from envbuild.trust.evidence import Covers, attested
from envbuild.trust.keys import PrivateKey
from envbuild.trust.statement import CACHE_RECORD, MANIFEST_DIGEST, Statement, Subject

SIGNATURE = "dev.envbuild.signature"
"""The annotation of a manifest that has its signature."""


def signed_record(manifest: bytes, name: str, key: PrivateKey) -> bytes:
    """Return the manifest of a record with a signature under the name of its cache (HOST/PATH)."""
    plain = json.loads(manifest)
    subject = Subject(name, ((MANIFEST_DIGEST, _digest_of(plain)),))
    plain["annotations"][SIGNATURE] = signed_bundle(Statement((subject,), CACHE_RECORD, {}), key).decode()
    return json_bytes(plain)


def signature_of(manifest: bytes) -> tuple[list[bytes], Covers]:
    """Return the signature in the manifest of a record, if there is one, and what tells whether a digest is that of
    what it has to be about."""
    try:
        plain = json.loads(manifest)
        digest = _digest_of(plain)
        text = plain["annotations"].get(SIGNATURE)
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError):
        return [], lambda algorithm, digits: False
    bundles = [text.encode(errors="replace")] if isinstance(text, str) else []
    return bundles, lambda algorithm, digits: algorithm == MANIFEST_DIGEST and digits == digest


def is_signed_by(manifest: bytes, name: str, key: PrivateKey) -> bool:
    """Return whether a record has this key's signature under the name of its cache."""
    bundles, covers = signature_of(manifest)
    return any(
        item.statement.kind == CACHE_RECORD and name in item.names for item in attested(bundles, [key.public], covers)
    )


def _digest_of(plain: Any) -> str:
    return sha256(plain["annotations"][RECORDS].encode(errors="replace")).hexdigest()
