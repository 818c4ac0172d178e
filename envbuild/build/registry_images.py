"""The base `registry:`: an image of a registry, fetched by the digest that the lock pins, whose facts come along."""

from __future__ import annotations

from collections.abc import Callable

from envbuild.build.image_files import words_of
from envbuild.build.registry_pins import RegistryPin
from envbuild.errors import UsageError, WorkFailed, fields
from envbuild.language.base_kinds import RegistryBase
from envbuild.language.statement_parts import Place
from envbuild.registry.access import Access
from envbuild.registry.errors import NotInRegistry
from envbuild.registry.reference import PULL, BadReference, RegistryReference, parse_reference
from envbuild.sharing.base_record import note_said
from envbuild.sharing.image_trust import AS_BASE, Trust
from envbuild.sharing.import_image import import_image
from envbuild.sharing.known_manifests import note_blobs, note_image
from envbuild.sharing.pull import Pulled, pull
from envbuild.sharing.pulled_signatures import PulledSignatures
from envbuild.store.images import Image
from envbuild.store.store import Store
from envbuild.tree.target import TreeTarget
from envbuild.trust.policy import Name


@fields
class BadRegistryBase(UsageError):
    """A `registry:` base whose reference is none."""

    place: Place
    reason: str

    def text(self) -> tuple[str, str]:
        return f"{self.place.file}:{self.place.line}: {self.reason}", "as in: from registry:HOST/shop/web:1.2"


@fields
class PinnedImageGone(WorkFailed):
    """A registry does not have the image any more that a lock pins."""

    reference: str
    digest: str

    def text(self) -> tuple[str, str]:
        return (
            f"{self.reference}: its registry does not have what is pinned: {self.digest}",
            "take what it has today: envbuild update RECIPE; or have the pinned one pushed again",
        )


class PulledBase:
    """An image whose layers are here, ready to be taken into the store."""

    epoch = 0

    def __init__(self, pulled: Pulled, signatures: PulledSignatures, report: Callable[[int, int], None]) -> None:
        self._pulled = pulled
        self._signatures = signatures
        self._report = report
        digest = pulled.remote.descriptor.digest
        self.pin = RegistryPin(digest, pulled.remote.digest if pulled.remote.digest != digest else "")
        self.identity = self.pin.text
        self.notes = (*pulled.notes, *signatures.notes)

    def take(self, store: Store) -> Image:
        """Put it into the store. Raises BadImage, ArchiveError and Untrusted."""
        image, manifest = self._pulled.image, self._pulled.remote.manifest
        if image is None:
            source = self._pulled.source
            assert source is not None
            report = self._report
            imported = import_image(store, source, source.image, lambda _, done, total: report(done, total))
            image = imported.image
            self.notes += imported.notes
            note_image(store, self.pin.manifest, image.digest)
            note_said(store, image.digest, manifest.annotations)
        self._signatures.keep(store, image)
        blobs = [blob.digest for blob in (manifest.config, *manifest.layers)]
        note_blobs(store, self._pulled.repository.host, self._pulled.repository.path, blobs)
        return image

    def write(self, target: TreeTarget) -> None:
        raise AssertionError("an image is taken as a whole")

    def close(self) -> None:
        """Do nothing."""


def prepare_pull(
    store: Store,
    access: Access,
    trust: Trust | None,
    base: RegistryBase,
    pinned: str,
    most: int,
    report: Callable[[int, int], None],
) -> PulledBase:
    """Bring the layers of a base here: of the manifest or index with the digest `pinned`, or with "" of what its name
    means now; each layer of at most so many bytes. `trust` are the policies that it has to satisfy. Raises
    BadRegistryBase, PinnedImageGone, Untrusted, BadImage and RegistryError kinds."""
    reference = _reference(base)
    if pinned:
        reference = reference.replace(digest=pinned)
    repositories = access.repositories(reference, PULL)
    signatures = PulledSignatures(trust, reference, "", repositories, AS_BASE)
    try:
        pulled = pull(
            store,
            repositories,
            reference,
            *words_of(base.platform),
            most,
            lambda _, done, total: report(done, total),
            signatures.judge,
        )
    except NotInRegistry as error:
        if not pinned:
            raise
        raise PinnedImageGone(reference.text.partition("@")[0], pinned) from error
    return PulledBase(pulled, signatures, report)


def name_of(base: RegistryBase) -> Name:
    """Return the name under which policies know a base. Raises BadRegistryBase."""
    reference = _reference(base)
    return Name(f"{reference.host}/{reference.path}", reference.tag)


def _reference(base: RegistryBase) -> RegistryReference:
    try:
        return parse_reference(base.reference)
    except BadReference as error:
        raise BadRegistryBase(base.place, error.message) from error
