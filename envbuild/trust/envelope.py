"""Signed envelopes (DSSE, "Dead Simple Signing Envelope" 1.0.2): a payload with its type, and signatures of both."""

from __future__ import annotations

import base64
import binascii
import json
import re
from collections.abc import Sequence
from typing import Any

from envbuild.errors import WorkFailed, fields
from envbuild.record import Record
from envbuild.trust.keys import PrivateKey, PublicKey

MAX_ENVELOPE = 24 << 20
"""Bytes of an envelope or bundle: a bill of materials of some thousand packages has two MB."""
MAX_SIGNATURES = 16
_BASE64 = re.compile(r"[A-Za-z0-9+/]*={0,2}")


@fields
class BadEnvelope(WorkFailed):
    """What is no envelope, or none of a kind that is known."""

    source: str
    reason: str

    def text(self) -> tuple[str, str]:
        return f"{self.source}: {self.reason}", "it is not used as a signature; sign again"


class Signature(Record):
    """One signature. `key` is the hint which key made it; nothing relies on that."""

    key: str
    content: bytes


class Envelope(Record):
    """A payload, its type, and its signatures."""

    payload_type: str
    payload: bytes
    signatures: tuple[Signature, ...]

    def plain(self) -> dict[str, object]:
        """Return the envelope as JSON types."""
        signatures = [
            {**({"keyid": signature.key} if signature.key else {}), "sig": base64.b64encode(signature.content).decode()}
            for signature in self.signatures
        ]
        payload = base64.b64encode(self.payload).decode()
        return {"payload": payload, "payloadType": self.payload_type, "signatures": signatures}

    def signers(self, keys: Sequence[PublicKey]) -> tuple[PublicKey, ...]:
        """Return those of these keys that signed it. Whatever the envelope says of its keys, all are tried."""
        message = pae(self.payload_type, self.payload)
        return tuple(
            key for key in keys if any(key.verifies(signature.content, message) for signature in self.signatures)
        )


def pae(payload_type: str, payload: bytes) -> bytes:
    """Return what is signed: type and payload with their lengths, so that neither can be taken for a part of the other
    (DSSE, "Pre-Authentication Encoding")."""
    kind = payload_type.encode()
    return b"DSSEv1 %d %s %d %s" % (len(kind), kind, len(payload), payload)


def sign(payload_type: str, payload: bytes, key: PrivateKey) -> Envelope:
    """Return a payload in an envelope with one signature. It does not say which key made it: cosign leaves out
    signatures with another word for the key than its own."""
    signature = Signature("", key.sign(pae(payload_type, payload)))
    return Envelope(payload_type, payload, (signature,))


def read_envelope(plain: Any, source: str) -> Envelope:
    """Return the envelope that JSON has. Raises BadEnvelope."""
    if not isinstance(plain, dict):
        raise BadEnvelope(source, "it is no envelope")
    kind = plain.get("payloadType")
    signatures = plain.get("signatures")
    if not isinstance(kind, str) or not kind.isascii() or not kind.isprintable():
        raise BadEnvelope(source, "it has no type")
    if not isinstance(signatures, list) or not 0 < len(signatures) <= MAX_SIGNATURES:
        raise BadEnvelope(source, f"it has not between 1 and {MAX_SIGNATURES} signatures")
    parsed = []
    for signature in signatures:
        if not isinstance(signature, dict):
            raise BadEnvelope(source, "a signature of it can't be read")
        key = signature.get("keyid") or ""
        parsed.append(Signature(key if isinstance(key, str) else "", decoded(signature.get("sig"), source)))
    return Envelope(kind, decoded(plain.get("payload"), source), tuple(parsed))


def parsed_json(content: bytes, source: str) -> Any:
    """Return what JSON says. Raises BadEnvelope."""
    if len(content) > MAX_ENVELOPE:
        raise BadEnvelope(source, f"it has more than {MAX_ENVELOPE:,} bytes")
    try:
        return json.loads(content.decode())
    except (ValueError, RecursionError) as error:
        raise BadEnvelope(source, "it is no JSON") from error


def decoded(text: object, source: str) -> bytes:
    """Return what base64 says, in the standard alphabet or that for addresses. Raises BadEnvelope."""
    try:
        if isinstance(text, str):
            standard = text.replace("-", "+").replace("_", "/")
            if len(standard) % 4 == 0 and _BASE64.fullmatch(standard):
                return base64.b64decode(standard, validate=True)
    except (binascii.Error, ValueError):
        pass
    raise BadEnvelope(source, "it has wrong base64")
