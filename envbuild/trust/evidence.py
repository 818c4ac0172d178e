"""Which keys vouch for an image, by the signatures that are kept or were fetched; and whether that is what the policy
asks for."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence

from envbuild.errors import WorkFailed, fields
from envbuild.record import Record
from envbuild.trust.bundle import read_bundle
from envbuild.trust.envelope import BadEnvelope
from envbuild.trust.keys import PublicKey
from envbuild.trust.policy import Name, Policy, Signed
from envbuild.trust.statement import APPROVAL, Statement, read_statement

MAX_APPROVAL = 256 << 10
"""Bytes of a signature that the policy counts; bills of materials are longer."""
Covers = Callable[[str, str], bool]
"""Returns whether a digest, of this algorithm and with these digits, is that of the image in question."""


@fields
class Untrusted(WorkFailed):
    """An image that the policy does not let be used. `keys` are the files of the keys that were asked."""

    name: str
    use: str
    reason: str
    keys: tuple[str, ...]
    policy: str

    def text(self) -> tuple[str, str]:
        asked = f" ({', '.join(self.keys)})" if self.keys else ""
        mend = (
            "have it signed under that name by who has the key: envbuild push --sign, or build --sign"
            if self.keys
            else "use another image, or ask who keeps the policy"
        )
        return f"{self.name} may not be {self.use}: {self.reason}{asked}", f"{mend}; {self.policy} asks for it"


class Attested(Record):
    """A statement about an image, and those of the keys that signed it."""

    statement: Statement
    names: tuple[str, ...]
    keys: tuple[PublicKey, ...]


def attested(bundles: Iterable[bytes], keys: Sequence[PublicKey], covers: Covers) -> Iterator[Attested]:
    """Yield what these keys say of an image. What is no statement, or not about the image, or signed by nobody of them
    counts for nothing."""
    for number, content in enumerate(bundles, 1):
        try:
            envelope = read_bundle(content, f"signature {number}")
            statement = read_statement(envelope, f"signature {number}")
        except BadEnvelope:
            continue
        names = tuple(
            subject.name
            for subject in statement.subjects
            if any(covers(algorithm, digits) for algorithm, digits in subject.digests)
        )
        if names and (signers := envelope.signers(keys)):
            yield Attested(statement, names, signers)


def check(
    policies: Sequence[Policy],
    use: str,
    names: Sequence[Name],
    bundles: Sequence[bytes],
    covers: Covers,
    kind: str = APPROVAL,
) -> None:
    """Raise Untrusted unless each policy lets an image with these signatures be used under each of these names; `use`
    is what is done with it. Only statements of a kind count."""
    small = [bundle for bundle in bundles if len(bundle) <= MAX_APPROVAL]
    for policy in policies:
        for name in names:
            rule = policy.rule(name)
            signed = [
                Signed(key, item.names)
                for item in attested(small if rule.keys else (), rule.keys, covers)
                if item.statement.kind == kind
                for key in item.keys
            ]
            if reason := rule.missing(name, signed):
                asked = tuple(key.where for key in rule.keys)
                raise Untrusted(name.text or "an image without a name", use, reason, asked, policy.path)


def needs_signatures(policies: Sequence[Policy], names: Sequence[Name]) -> bool:
    """Return whether any policy asks for signatures of these names."""
    return any(policy.rule(name).keys for policy in policies for name in names)
