"""Has a tag of a registry name the image that another tag there names, with the way beside the image."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from envbuild.oci.descriptor import Descriptor
from envbuild.oci.manifest import INDEXES, MAX_CONFIG, BadImage, read_config, read_index, read_manifest
from envbuild.record import Record
from envbuild.registry.client import Repository
from envbuild.registry.errors import BadAnswer, NotInRegistry, RegistryError
from envbuild.registry.reference import RegistryReference
from envbuild.registry.referrers import NewReferrer, attach, contents
from envbuild.sharing.copy_image import copy_image
from envbuild.sharing.promote import check_expected
from envbuild.sharing.promotion import KIND, MAX_RECORD, Promotion, dump, passed_tests, read_promotion
from envbuild.sharing.signing import fetch_signatures, push_signatures
from envbuild.sharing.transfers import Report
from envbuild.store.database import StoreDamaged
from envbuild.store.record_text import DETAIL, read_text
from envbuild.store.store import Store

MAX_STEPS_BACK = 50
"""Earlier images of a tag that are asked about."""

MAX_CLAIMS = 10
"""Promotions that are kept of a pull."""


class Promoted(Record):
    """What a promotion in a registry did: what the tag names now and named before, which tests had passed by what the
    image says, the bytes that were taken over within the registry and that went through this machine."""

    digest: str
    replaced: str
    checks: tuple[str, ...]
    mounted: int = 0
    sent: int = 0


class Who(Record):
    """Who promotes, on which machine, and when (ISO 8601)."""

    user: str
    host: str
    when: str


def promote_there(
    store: Store,
    source: Repository,
    named: RegistryReference,
    target: Repository,
    wanted: RegistryReference,
    who: Who,
    expected: str | None,
    judge: Callable[[Repository, Sequence[str], str], None],
    agreed: tuple[str, ...],
    most: int,
    report: Report,
) -> Promoted:
    """Have the tag `wanted` name what `named` names. `expected` is as for promote_here, `judge` as for pull, and
    `agreed` is what is on record of its being asked. Nothing is
    recorded where it names that already. Raises TargetMoved, what `judge` raises, BadImage, NotInRegistry and
    RegistryError kinds."""
    manifest, content = source.manifest(named)
    before = target.digest_of(wanted.version)
    check_expected(wanted.text, before, expected)
    image, checks = _said(source, manifest, content)
    judge(source, (manifest.digest,), image)
    checks = (*checks, *agreed)
    done = Promoted(manifest.digest, before, checks)
    if before == manifest.digest:
        return done
    earlier: list[NewReferrer] = []
    signatures: list[bytes] = []
    if (source.host, source.path) != (target.host, target.path):
        copied = copy_image(store, source, target, manifest, content, most, report)
        done = done.replace(mounted=copied.mounted, sent=copied.sent)
        earlier = [NewReferrer(KIND, dump(known)) for known in promotions_of(source, manifest.digest)]
        signatures = fetch_signatures(source, [manifest.digest])
    promotion = Promotion(named.text, wanted.text, manifest.digest, before, who.user, who.host, who.when, checks)
    move(target, wanted, manifest, content, promotion, earlier, signatures)
    return done


def move(
    target: Repository,
    wanted: RegistryReference,
    manifest: Descriptor,
    content: bytes,
    promotion: Promotion,
    earlier: Sequence[NewReferrer] = (),
    signatures: Sequence[bytes] = (),
) -> None:
    """Put a promotion on record, with those before it and the image's signatures, and have the tag name the image.
    Raises TargetMoved for a tag that names something else than the promotion says that it replaces, and what asking
    raises."""
    # No registry moves a tag only if it is as it was: what is left between look and move is one request long.
    push_signatures(target, manifest, signatures)
    attach(target, manifest, [*earlier, NewReferrer(KIND, dump(promotion))])
    replaced = promotion.replaced.removeprefix("sha256:")
    check_expected(wanted.text, target.digest_of(wanted.version), replaced)
    target.put_manifest(wanted.version, manifest.media_type, content)


def promotions_of(repository: Repository, digest: str) -> list[Promotion]:
    """Return the promotions that a registry has on record of a manifest, the newest first. Raises what asking
    raises."""
    known = [
        promotion
        for content in contents(repository, digest, (KIND,), MAX_RECORD)
        if (promotion := read_promotion(content, digest)) is not None
    ]
    return sorted(known, key=lambda promotion: promotion.when, reverse=True)


def claims_of(repository: Repository, digest: str) -> list[Promotion]:
    """Return the newest promotions that a registry has on record of an image that was pulled; none where it can't
    say."""
    try:
        return promotions_of(repository, digest)[:MAX_CLAIMS]
    except (RegistryError, NotInRegistry):
        return []


def history_of(repository: Repository, reference: RegistryReference) -> list[tuple[str, list[Promotion]]]:
    """Return what a tag of a registry names, and named before, as far as promotions say it: each digest with all
    promotions of it, the newest first. Raises NotInRegistry and what asking raises."""
    digest = repository.manifest(reference)[0].digest
    history: list[tuple[str, list[Promotion]]] = []
    seen = set[str]()
    while digest and digest not in seen and len(history) < MAX_STEPS_BACK:
        seen.add(digest)
        promotions = promotions_of(repository, digest)
        history.append((digest, promotions))
        own = [promotion for promotion in promotions if is_to(promotion, reference)]
        digest = own[0].replaced if own else ""
    return history


def is_to(promotion: Promotion, reference: RegistryReference) -> bool:
    """Return whether a promotion is one to this tag, whatever its registry was called then."""
    path, colon, tag = promotion.target.partition("/")[2].rpartition(":")
    return bool(colon) and (path, tag) == (reference.path, reference.version)


def _said(source: Repository, manifest: Descriptor, content: bytes) -> tuple[str, tuple[str, ...]]:
    """Return the digest of the image that a manifest says it holds, and the tests that it says passed; nothing for
    images of other tools and indexes of several."""
    if manifest.media_type in INDEXES:
        read_index(content, source.path)
        return "", ()
    config = read_manifest(content, source.path).config
    try:
        own = read_config(source.small_blob(config, MAX_CONFIG, "the configuration"), source.path).own
        image, detail = own.get("image", ""), own.get("detail", "{}")
        return (image if isinstance(image, str) else ""), passed_tests(read_text(detail, DETAIL, "an image"))
    except (BadImage, BadAnswer, NotInRegistry, StoreDamaged, TypeError):
        return "", ()
