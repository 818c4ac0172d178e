"""Whether the policies let a record of a shared cache be used, and the signatures that they ask for.

A signature is of the record alone, which has its key, its tree and the digests of all that it brings: where the record
lies, and who put it there, says nothing.
"""

from __future__ import annotations

from collections.abc import Sequence

from envbuild.sharing.shared_step import PAYLOAD_TYPE, SharedStep
from envbuild.trust.envelope import pae
from envbuild.trust.keys import PrivateKey, PublicKey
from envbuild.trust.policy import Name, Policy


def signed(step: SharedStep, key: PrivateKey) -> SharedStep:
    """Return a record with this key's signature beside those that it has."""
    if is_signed(step, key.public):
        return step
    return step.replace(signatures=(*step.signatures, key.sign(pae(PAYLOAD_TYPE, step.payload))))


def is_signed(step: SharedStep, key: PublicKey) -> bool:
    """Return whether a record has a signature of this key."""
    message = pae(PAYLOAD_TYPE, step.payload)
    return any(key.verifies(signature, message) for signature in step.signatures)


def missing(policies: Sequence[Policy], repository: str, step: SharedStep) -> str:
    """Return what a record of a repository (HOST/PATH) lacks to be used, "" for nothing."""
    for policy in policies:
        rule = policy.rule(Name(repository))
        if rule.refuse:
            return f"{policy.path} refuses it"
        signers = {key.der for key in rule.keys if is_signed(step, key)}
        if rule.keys and len(signers) < rule.threshold:
            return f"it is not signed by the keys that {policy.path} names"
    return ""
