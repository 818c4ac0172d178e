"""Signatures against policies: what counts for an image, and what does not."""

from __future__ import annotations

import json

import pytest

from envbuild.trust.bundle import signed_bundle
from envbuild.trust.evidence import Untrusted, attested, check
from envbuild.trust.policy import Name, Policy, Rule
from envbuild.trust.statement import APPROVAL, BILL_OF_MATERIALS, IMAGE_DIGEST, Statement, subjects_of

IMAGE, MANIFEST, OTHER = "a" * 64, "b" * 64, "c" * 64
WEB = "host.test/shop/web"


def covers(algorithm: str, digits: str) -> bool:
    return digits == (IMAGE if algorithm == IMAGE_DIGEST else MANIFEST)


def signed(key, name=WEB, image=IMAGE, manifest="", kind=APPROVAL) -> bytes:
    return signed_bundle(Statement(subjects_of(name, image, manifest), kind, {}), key)


@pytest.fixture
def policies(key):
    return [Policy("/policy.toml", (Rule((WEB,), (key("release").public,)),), refuse=False)]


def refusal(policies, bundles, name=WEB) -> str:
    try:
        check(policies, "run", [Name(name, "1")], bundles, covers)
    except Untrusted as error:
        return error.reason
    return ""


def test_an_image_needs_the_signature_of_its_key_digest_and_name(policies, key):
    release, other = key("release"), key("other")
    assert refusal(policies, [signed(release)]) == ""
    assert refusal(policies, [signed(release, image=OTHER, manifest=MANIFEST)]) == ""
    missing = "none of the keys that it needs has signed it"
    assert refusal(policies, []) == missing
    assert refusal(policies, [signed(other)]) == missing
    assert refusal(policies, [signed(release, image=OTHER, manifest=OTHER)]) == missing
    assert refusal(policies, [signed(release, name="host.test/shop/other")]) == (
        "its signature is for host.test/shop/other"
    )
    assert refusal(policies, [signed(release, name="")]) == "its signature is for no name"
    assert refusal(policies, [signed(release, kind=BILL_OF_MATERIALS)]) == missing


def test_a_manifest_is_not_an_image_of_the_same_digits(policies, key):
    assert refusal(policies, [signed(key("release"), image=MANIFEST, manifest=IMAGE)])


def test_a_name_is_that_of_the_digest_beside_it(policies, key):
    subjects = (*subjects_of(WEB, OTHER), *subjects_of("host.test/shop/other", IMAGE))
    bundle = signed_bundle(Statement(subjects, APPROVAL, {}), key("release"))
    assert refusal(policies, [bundle]) == "its signature is for host.test/shop/other"


def test_rubbish_beside_a_signature_is_nothing(policies, key):
    good = signed(key("release"))
    replaced = json.loads(good)
    replaced["dsseEnvelope"]["payload"] = json.loads(signed(key("other"), image=OTHER))["dsseEnvelope"]["payload"]
    rubbish = [b"", b"{}", b"\0" * 100, json.dumps(replaced).encode(), b" " * (1 << 20) + good]
    assert refusal(policies, rubbish)
    assert refusal(policies, [*rubbish, good]) == ""


def test_each_policy_is_asked(policies, key):
    own = Policy("/own.toml", (Rule(("*",), (key("own").public,)),), refuse=False)
    with pytest.raises(Untrusted) as error:
        check([*policies, own], "run", [Name(WEB)], [signed(key("release"))], covers)
    assert error.value.policy == "/own.toml"
    both = [signed(key("release")), signed(key("own"))]
    check([*policies, own], "run", [Name(WEB)], both, covers)


def test_each_name_is_asked(policies, key):
    with pytest.raises(Untrusted):
        check(policies, "run", [Name("other"), Name(WEB)], [], covers)
    check(policies, "run", [Name("other")], [], covers)


def test_a_refusal_says_which_keys_were_asked_and_how_to_mend_it(policies):
    with pytest.raises(Untrusted) as error:
        check(policies, "run", [Name(WEB, "1")], [], covers)
    assert f"{WEB}:1 may not be run" in error.value.message
    assert "/release." in error.value.message
    assert "/policy.toml" in error.value.hint


def test_what_is_read_is_what_was_signed(key):
    (item,) = attested([signed(key("release"))], [key("release").public], covers)
    assert (item.names, item.keys) == ((WEB,), (key("release").public,))
