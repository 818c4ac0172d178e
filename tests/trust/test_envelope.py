"""What is signed, byte for byte, and what counts as a signature."""

from __future__ import annotations

import base64
import json
import shutil
import subprocess

import pytest

from envbuild.trust.bundle import BUNDLE, read_bundle, signed_bundle
from envbuild.trust.envelope import MAX_ENVELOPE, BadEnvelope, Envelope, Signature, pae, sign
from envbuild.trust.keys import PublicKey
from envbuild.trust.statement import APPROVAL, PAYLOAD_TYPE, Statement, read_statement, subjects_of

ORDER = 2**252 + 27742317777372353535851937790883648493
"""Of the group of ed25519 (RFC 8032, section 5.1): adding it to a signature's number changes only the bytes."""
IMAGE, MANIFEST = "a" * 64, "b" * 64


def statement(name: str = "host.test/web") -> Statement:
    return Statement(subjects_of(name, IMAGE, f"sha256:{MANIFEST}"), APPROVAL, {})


def changed(bundle: bytes, **members: object) -> bytes:
    plain = json.loads(bundle)
    plain["dsseEnvelope"] |= members
    return json.dumps(plain).encode()


def test_what_is_signed_is_as_the_specification_has_it():
    assert pae("http://example.com/HelloWorld", b"hello world") == (
        b"DSSEv1 29 http://example.com/HelloWorld 11 hello world"
    )
    assert pae("a 1 b", b"") != pae("a", b"b 0 ")


def test_what_was_signed_is_read_back(key):
    bundle = signed_bundle(statement(), key("release"))
    envelope = read_bundle(bundle, "x")
    assert envelope.signers([key("release").public]) == (key("release").public,)
    assert read_statement(envelope, "x") == statement()
    assert signed_bundle(statement(), key("release")) == bundle


def test_openssl_finds_the_signature_right(key, tmp_path):
    if shutil.which("openssl") is None:
        pytest.skip("openssl is not installed")
    envelope = sign(PAYLOAD_TYPE, b'{"x": 1}', key("release"))
    (tmp_path / "message").write_bytes(b'DSSEv1 28 application/vnd.in-toto+json 8 {"x": 1}')
    (tmp_path / "signature").write_bytes(envelope.signatures[0].content)
    words = ["openssl", "pkeyutl", "-verify", "-rawin", "-pubin", "-inkey", "release.pub", "-sigfile", "signature"]
    done = subprocess.run([*words, "-in", "message"], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert "Verified Successfully" in done.stdout, done.stderr
    (tmp_path / "message").write_bytes(b'DSSEv1 28 application/vnd.in-toto+json 8 {"x": 2}')
    assert subprocess.run([*words, "-in", "message"], cwd=tmp_path, capture_output=True, check=False).returncode != 0


def test_a_signature_is_of_one_key_one_type_and_one_payload(key):
    own, other = key("own"), key("other")
    envelope = sign(PAYLOAD_TYPE, b"payload", own)
    assert envelope.signers([other.public]) == ()
    assert envelope.replace(payload=b"Payload").signers([own.public]) == ()
    assert envelope.replace(payload_type="text/plain").signers([own.public]) == ()


def test_several_signatures_count_each_for_its_key(key):
    keys = [key(name) for name in ("first", "second", "third")]
    message = pae(PAYLOAD_TYPE, b"payload")
    wrong = Signature("", bytes(64))
    envelope = Envelope(
        PAYLOAD_TYPE, b"payload", (wrong, *(Signature("", known.sign(message)) for known in keys[:2]), wrong)
    )
    assert envelope.signers([known.public for known in keys]) == tuple(known.public for known in keys[:2])


def test_whose_a_signature_is_said_to_be_counts_for_nothing(key):
    own, other = key("own"), key("other")
    signature = sign(PAYLOAD_TYPE, b"payload", own).signatures[0].content
    envelope = Envelope(PAYLOAD_TYPE, b"payload", (Signature(other.public.identity, signature),))
    assert envelope.signers([own.public, other.public]) == (own.public,)


def test_a_signature_can_not_be_written_in_another_way(key):
    own = key("own")
    signature = sign(PAYLOAD_TYPE, b"payload", own).signatures[0].content
    number = int.from_bytes(signature[32:], "little") + ORDER
    again = signature[:32] + number.to_bytes(32, "little")
    for content in (again, signature + b"\0", signature[:-1], b""):
        assert Envelope(PAYLOAD_TYPE, b"payload", (Signature("", content),)).signers([own.public]) == ()


def test_keys_of_cosign_count(tmp_path, key):
    if shutil.which("openssl") is None:
        pytest.skip("openssl is not installed")
    make = "openssl ecparam -name prime256v1 -genkey -noout -out ec.pem && openssl ec -in ec.pem -pubout -out ec.pub"
    subprocess.run(make, shell=True, cwd=tmp_path, capture_output=True, check=True)
    (tmp_path / "message").write_bytes(pae(PAYLOAD_TYPE, b"payload"))
    signature = subprocess.run(
        ["openssl", "dgst", "-sha256", "-sign", "ec.pem", "message"], cwd=tmp_path, capture_output=True, check=True
    ).stdout
    from envbuild.trust.keys import read_public

    envelope = Envelope(PAYLOAD_TYPE, b"payload", (Signature("", signature),))
    public = read_public(str(tmp_path / "ec.pub"))
    assert envelope.signers([public, key("own").public]) == (public,)
    assert envelope.replace(payload=b"other").signers([public]) == ()


@pytest.mark.parametrize(
    "members",
    [
        {"payload": "%%%"},
        {"payload": "AAAA="},
        {"payload": "A A A A"},
        {"payload": 7},
        {"payload": None},
        {"payloadType": None},
        {"payloadType": "\udc80"},
        {"payloadType": ["application/vnd.in-toto+json"]},
        {"signatures": []},
        {"signatures": [{"sig": "AA=="}] * 17},
        {"signatures": ["AA=="]},
        {"signatures": [{"sig": "!"}]},
        {"signatures": {"sig": "AA=="}},
    ],
)
def test_what_is_no_envelope_is_refused(key, members):
    with pytest.raises(BadEnvelope):
        read_bundle(changed(signed_bundle(statement(), key("release")), **members), "x")


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"\xff\xfe",
        b"[]",
        b"{}",
        b"[" * 100_000,
        json.dumps({"mediaType": BUNDLE}).encode(),
        json.dumps({"mediaType": "application/vnd.dev.sigstore.bundle+json;version=0.1", "dsseEnvelope": {}}).encode(),
    ],
    ids=range(7),
)
def test_what_is_no_bundle_is_refused(content):
    with pytest.raises(BadEnvelope):
        read_bundle(content, "x")


def test_a_bundle_that_is_too_large_is_refused():
    with pytest.raises(BadEnvelope):
        read_bundle(b'{"mediaType": "' + b"x" * MAX_ENVELOPE + b'"}', "x")


@pytest.mark.parametrize(
    "payload",
    [
        {"_type": "https://in-toto.io/Statement/v2"},
        {"subject": []},
        {"subject": [{"name": 7, "digest": {}}]},
        {"subject": [{"name": "x"}]},
        {"subject": ["x"]},
        {"subject": [{"digest": {}}] * 101},
        {"predicateType": None},
        {"predicate": []},
    ],
)
def test_what_is_no_statement_is_refused(key, payload):
    plain = json.loads(statement().encode()) | payload
    envelope = sign(PAYLOAD_TYPE, json.dumps(plain).encode(), key("release"))
    with pytest.raises(BadEnvelope):
        read_statement(envelope, "x")
    with pytest.raises(BadEnvelope):
        read_statement(envelope.replace(payload_type="application/json"), "x")


def test_digests_of_other_kinds_are_none():
    plain = json.loads(statement().encode())
    plain["subject"] = [{"name": "x", "digest": {"sha256": "A" * 64, "envbuildImage": "a" * 63, "sha1": "a" * 40}}]
    envelope = Envelope(PAYLOAD_TYPE, json.dumps(plain).encode(), (Signature("", b""),))
    assert read_statement(envelope, "x").subjects[0].digests == ()


def test_names_of_files_that_are_no_text_become_json_that_others_read():
    encoded = Statement(subjects_of("web", IMAGE), APPROVAL, {"path": "a\udcff"}).encode()
    assert json.loads(encoded)["predicate"] == {"path": "a?"}


def test_base64_may_be_that_for_addresses(key):
    bundle = signed_bundle(statement(), key("release"))
    envelope = read_bundle(bundle, "x")
    there = {"sig": base64.urlsafe_b64encode(envelope.signatures[0].content).decode()}
    assert read_bundle(changed(bundle, signatures=[there]), "x").signatures == envelope.signatures


def test_a_key_is_known_by_what_sigstore_calls_it(key):
    public = key("release").public
    hint = json.loads(signed_bundle(statement(), key("release")))["verificationMaterial"]["publicKey"]["hint"]
    assert hint == PublicKey(public.der, "elsewhere").identity
