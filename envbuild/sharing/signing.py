"""Signs images, and has their signatures travel with them."""

from __future__ import annotations

import json
from collections.abc import Sequence

from envbuild.images.find import facts_of
from envbuild.oci.descriptor import Descriptor
from envbuild.packages.inventory.tree import packages_of
from envbuild.registry.client import Repository
from envbuild.registry.referrers import NewReferrer, attach, contents
from envbuild.store.images import Image
from envbuild.store.store import Store
from envbuild.trust.bundle import BUNDLE, CONTENT, KINDS, PREDICATE, read_bundle, signed_bundle
from envbuild.trust.envelope import MAX_ENVELOPE, BadEnvelope
from envbuild.trust.keys import PrivateKey
from envbuild.trust.provenance import provenance
from envbuild.trust.statement import (
    APPROVAL,
    BILL_OF_MATERIALS,
    PROVENANCE,
    Statement,
    read_statement,
    subjects_of,
)


def sign_image(store: Store, image: Image, name: str, key: PrivateKey, manifest: str = "") -> list[bytes]:
    """Sign an image under a name, with how it was made and what it holds, and keep the signatures beside it; return
    them. `manifest` is the digest of its manifest in a registry. Raises StoreDamaged and OSError."""
    from envbuild.packages.sbom.cyclonedx import cyclonedx  # its library takes a third of a second

    subjects = subjects_of(name, image.digest, manifest)
    bill = json.loads(cyclonedx(name, image.digest, facts_of(image).epoch, packages_of(store, image)))
    bundles = [
        signed_bundle(Statement(subjects, kind, predicate), key)
        for kind, predicate in (
            (APPROVAL, {}),
            (PROVENANCE, provenance(store, image)),
            (BILL_OF_MATERIALS, bill),
        )
    ]
    for bundle in bundles:
        store.signatures.put(image.digest, bundle)
    return bundles


def push_signatures(repository: Repository, manifest: Descriptor, bundles: Sequence[bytes]) -> int:
    """Put signatures beside a manifest of a registry, and return how many these are. Raises what `attach` raises."""
    known = []
    for bundle in bundles:
        try:
            kind = read_statement(read_bundle(bundle, "a signature"), "a signature").kind
        except BadEnvelope:
            continue
        annotations = tuple(sorted({CONTENT: "dsse-envelope", PREDICATE: kind}.items()))
        known.append(NewReferrer(BUNDLE, bundle, annotations))
    if known:
        attach(repository, manifest, known)
    return len(known)


def fetch_signatures(repository: Repository, manifests: Sequence[str]) -> list[bytes]:
    """Return the signatures that a registry has of these manifests, whoever made them. Raises what asking raises."""
    return [
        bundle
        for manifest in dict.fromkeys(manifests)
        for bundle in contents(repository, manifest, KINDS, MAX_ENVELOPE)
    ]
