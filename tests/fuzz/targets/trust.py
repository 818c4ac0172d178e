"""Signatures as registries have them, records of shared caches, policies and keys."""

from __future__ import annotations

import json

from envbuild.cli.signature_check import lines_of
from envbuild.registry.referrers import read_entries
from envbuild.sharing.record_signature import signature_of
from envbuild.sharing.shared_step import RECORDS
from envbuild.trust.bundle import read_bundle
from envbuild.trust.evidence import Attested, attested
from envbuild.trust.keys import parse_public
from envbuild.trust.policy import Name, read_policy
from envbuild.trust.statement import read_statement
from tests.fuzz.target import SEEDS, Target, written

_KEY = parse_public((SEEDS / "public-key/ed25519").read_bytes(), "seed.pub")
_SIGNED = json.loads((SEEDS / "signed-record/signed").read_bytes())["annotations"][RECORDS]


def read_signature(data: bytes) -> None:
    assert not list(attested([data], [_KEY], lambda algorithm, digits: False))
    envelope = read_bundle(data, "seed")
    envelope.signers([_KEY])
    statement = read_statement(envelope, "seed")
    for subject in statement.subjects:
        assert all(len(digits) == 64 and digits.isalnum() for _, digits in subject.digests)
    names = tuple(subject.name for subject in statement.subjects)
    assert all(isinstance(line, str) for line in lines_of(Attested(statement, names, (_KEY,))))


def read_record(data: bytes) -> None:
    bundles, covers = signature_of(data)
    if list(attested(bundles, [_KEY], covers)):
        # What the seed's key signed is the seed's text, however the JSON around it is written.
        assert json.loads(data)["annotations"][RECORDS] == _SIGNED


def read_referrers(data: bytes) -> None:
    try:
        plain = json.loads(data)
    except (ValueError, RecursionError):
        return
    for referrer in read_entries(plain if isinstance(plain, list) else [plain], "seed"):
        assert referrer.descriptor.digest.startswith("sha256:")
        assert isinstance(referrer.kind, str)


def read_policy_file(data: bytes) -> None:
    policy = read_policy(written(data))
    for name in (Name("web"), Name("host.test/shop/web", "1"), Name("")):
        policy.rule(name).missing(name, [])


TARGETS = (
    Target("signature", read_signature, tokens=(b'"payload"', b'"sig"', b'"dsseEnvelope"', b'"signatures"', b"==")),
    Target("signed-record", read_record, tokens=(b'"annotations"', b'"dev.envbuild.signature"')),
    Target("referrers", read_referrers, tokens=(b'"artifactType"', b'"digest"', b'"size"')),
    Target(
        "policy", read_policy_file, tokens=(b"[[rule]]\n", b"names", b"keys", b"threshold", b"signed-as", b"refuse")
    ),
    Target("public-key", lambda data: parse_public(data, "seed"), tokens=(b"-----BEGIN PUBLIC KEY-----",)),
)
