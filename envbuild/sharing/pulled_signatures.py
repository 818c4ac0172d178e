"""The signatures of an image that is pulled: fetched before its layers, asked about by the policies, and kept."""

from __future__ import annotations

from collections.abc import Sequence

from envbuild.registry.client import Repository
from envbuild.registry.errors import NotInRegistry, RegistryError
from envbuild.registry.reference import RegistryReference
from envbuild.sharing.image_trust import Trust, covers_manifest
from envbuild.sharing.known_manifests import note_image
from envbuild.sharing.signing import fetch_signatures
from envbuild.store.images import Image
from envbuild.store.store import Store
from envbuild.trust.bundle import read_bundle
from envbuild.trust.envelope import BadEnvelope
from envbuild.trust.evidence import Covers, Untrusted
from envbuild.trust.statement import read_statement


class PulledSignatures:
    """The signatures of what a reference names. `trust` are the policies, None without; `local` is what the image is to
    be called here, "" for nothing, `repositories` where it may be had, and `use` what is done with it."""

    def __init__(
        self,
        trust: Trust | None,
        reference: RegistryReference,
        local: str,
        repositories: Sequence[Repository],
        use: str,
    ) -> None:
        self.notes: list[str] = []
        self._trust = trust
        self._name = f"{reference.host}/{reference.path}"
        self._tag = reference.tag
        self._local = local
        self._repositories = repositories
        self._use = use
        self._needed = trust is not None and trust.needs_signatures(self._name, self._tag, local)
        self._bundles: list[bytes] = []
        self._manifests: tuple[str, ...] = ()

    def judge(self, repository: Repository, manifests: Sequence[str], image: str) -> None:
        """Fetch the signatures of these manifests, an index and what it names, which say that they hold an image of
        this digest ("" for none). Raises Untrusted, and RegistryError where the policies need what can't be had."""
        self._manifests = tuple(dict.fromkeys(manifests))
        self._fetch(repository)
        try:
            self._check(image)
        except Untrusted:
            # A mirror need not have what lies beside an image.
            others = [other for other in self._repositories if other is not repository]
            if not self._needed or not others:
                raise
            for other in others:
                self._fetch(other)
            self._check(image)

    def keep(self, store: Store, image: Image) -> None:
        """Keep the signatures beside the image that came of it. Raises Untrusted if that is not the one that the
        manifests said."""
        self._check(image.digest)
        covers = covers_manifest(self._manifests, image.digest)
        for manifest in self._manifests:
            note_image(store, manifest, image.digest)
        for bundle in self._bundles:
            if _is_about(bundle, covers):
                store.signatures.put(image.digest, bundle)

    def _fetch(self, repository: Repository) -> None:
        try:
            self._bundles += fetch_signatures(repository, self._manifests)
        except (RegistryError, NotInRegistry) as error:
            if self._needed:
                raise
            self.notes.append(f"its signatures were not fetched: {error.message}")

    def _check(self, image: str) -> None:
        if self._trust is not None:
            self._trust.check_manifest(
                self._name, self._tag, self._local, self._manifests, image, self._bundles, self._use
            )


def _is_about(bundle: bytes, covers: Covers) -> bool:
    try:
        statement = read_statement(read_bundle(bundle, "a signature"), "a signature")
    except BadEnvelope:
        return False
    return any(covers(*digest) for subject in statement.subjects for digest in subject.digests)
