"""Whether the policies of this machine and of the user let an image be used: the question that all ask who use
images."""

from __future__ import annotations

from collections.abc import Sequence

from envbuild.images.reference import LATEST, PinnedReference, RevisionReference, StoreReference, parse
from envbuild.registry.reference import parse_reference
from envbuild.sharing.known_manifests import image_of
from envbuild.store.images import Image
from envbuild.store.project import split_project
from envbuild.store.store import Store
from envbuild.store.tags import PULL
from envbuild.trust.evidence import Covers, Untrusted, check, needs_signatures
from envbuild.trust.policy import Name, read_policy
from envbuild.trust.statement import CACHE_RECORD, IMAGE_DIGEST

AS_BASE = "used as a base"
"""What is done with the image that a recipe begins with, for messages: it may not be that."""


class Trust:
    """The policies in these files, all of which count. Raises BadPolicy."""

    def __init__(self, paths: Sequence[str]) -> None:
        self._policies = [read_policy(path) for path in paths]

    def check_image(self, store: Store, image: Image, reference: str, use: str) -> None:
        """Raise Untrusted unless an image of the store may be used under the name by which it was asked for, and under
        those by which it came from registries. One that is named by a digest has all its names. `use` is what is
        done with it, for messages: it may not be `run`."""
        names = self._names(store, image, reference)
        check(self._policies, use, names, store.signatures.of(image.digest), covers_image(store, image.digest))

    def check_base(self, store: Store, image: Image, name: Name) -> None:
        """Raise Untrusted unless a recipe may begin with an image of the store under the name that it has elsewhere."""
        covers = covers_image(store, image.digest)
        check(self._policies, AS_BASE, [name], store.signatures.of(image.digest), covers)

    def trusts_record(self, cache: str, manifest: bytes) -> bool:
        """Return whether what a shared cache (HOST/PATH) has under a manifest may be used."""
        from envbuild.sharing.record_signature import signature_of

        bundles, covers = signature_of(manifest)
        try:
            check(self._policies, "used from the cache", [Name(cache)], bundles, covers, CACHE_RECORD)
        except Untrusted:
            return False
        return True

    def check_manifest(
        self, name: str, tag: str, local: str, manifests: Sequence[str], image: str, bundles: Sequence[bytes], use: str
    ) -> None:
        """Raise Untrusted unless what a registry has under a name (HOST/PATH), with one of these digests, may be used
        and be called `local` here ("" for nothing). `image` is the digest of the image that it says it holds."""
        names = [Name(name, tag), *([Name(local)] if local else [])]
        check(self._policies, use, names, bundles, covers_manifest(manifests, image))

    def needs_signatures(self, name: str, tag: str, local: str = "") -> bool:
        """Return whether what a registry has under a name needs signatures."""
        return needs_signatures(self._policies, [Name(name, tag), *([Name(local)] if local else [])])

    def _names(self, store: Store, image: Image, reference: str) -> list[Name]:
        names = [_name_of(reference, image)]
        if not names[0].name:
            names = [Name(split_project(tag.name)[1], tag.tag) for tag in store.tags.all(image.digest)] or names
        for move in store.tags.moves_to(image.digest):
            known = move.known.get("reference") if move.action == PULL else None
            if known:
                remote = parse_reference(known)
                names.append(Name(f"{remote.host}/{remote.path}", remote.tag))
        return list(dict.fromkeys(names))


def covers_image(store: Store, image: str) -> Covers:
    """Return what tells whether a digest is an image's own, or that of a manifest that was made into it here."""

    def covers(algorithm: str, digits: str) -> bool:
        if algorithm == IMAGE_DIGEST:
            return digits == image
        known = image_of(store, f"sha256:{digits}")
        return known is not None and known.digest == image

    return covers


def covers_manifest(manifests: Sequence[str], image: str) -> Covers:
    """Return what tells whether a digest is one of these manifests', or that of the image that they hold."""

    def covers(algorithm: str, digits: str) -> bool:
        return digits == image if algorithm == IMAGE_DIGEST else f"sha256:{digits}" in manifests

    return covers


def _name_of(reference: str, image: Image) -> Name:
    """Return the name in a reference, an empty one for a digest."""
    match parse(reference):
        case StoreReference(digits=digits) if digits is not None and image.digest.startswith(digits):
            return Name("")  # also where it could be a name: then it is among those that the image has
        case StoreReference(tag=tag) | PinnedReference(tag=tag):
            return Name(tag.name, tag.tag or LATEST) if tag is not None else Name("")
        case RevisionReference(name=name):
            return Name(name)
        case _:
            return Name("")
