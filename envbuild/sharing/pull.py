"""Brings an image of a registry into the store: its manifest, then what is not here of its files (indexed_pull), or
where that can't be told the layers that are not here, and then their files.

A blob lies in the store's `blobs` under its digest once it is what that says; what came of one before a connection
broke lies beside it and is continued.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence

from envbuild.oci.descriptor import Descriptor
from envbuild.oci.manifest import (
    INDEXES,
    MANIFESTS,
    MAX_CONFIG,
    BadImage,
    Manifest,
    read_config,
    read_index,
    read_manifest,
)
from envbuild.packages.errors import TooLargeToFetch
from envbuild.record import Record
from envbuild.registry.client import Repository
from envbuild.registry.download import digest_of, download
from envbuild.registry.errors import NotInRegistry, RegistryError
from envbuild.registry.reference import RegistryReference
from envbuild.sharing.indexed_pull import IndexedPull, Unfit
from envbuild.sharing.known_manifests import image_of
from envbuild.sharing.part import Part
from envbuild.sharing.platform_choice import ImageInFile, LayerFile, checked, chosen
from envbuild.sharing.transfers import Report, Transfers
from envbuild.store.images import Image
from envbuild.store.store import Store

Judge = Callable[[Repository, Sequence[str], str], None]
"""Is asked whether an image may come: where it is, the digests of its index and its manifest, and that of the image as
envbuild has it ("" where it doesn't say). Raises for one that may not."""
MAX_DOCUMENTS = 64
"""Indexes that are read on the way to one image."""


class Remote(Record):
    """An image in a registry: the digest that a tag has there, which may be that of an index, what names the manifest
    for this machine, and the manifest."""

    digest: str
    descriptor: Descriptor
    manifest: Manifest


def resolve(repository: Repository, reference: RegistryReference, architecture: str, variant: str) -> Remote:
    """Return what a reference names for a platform. Raises BadImage and what asking raises."""
    source = reference.text
    descriptor, content = repository.manifest(reference)
    first = descriptor.digest
    if descriptor.media_type in INDEXES:
        left = MAX_DOCUMENTS

        def read(inner: Descriptor) -> bytes:
            nonlocal left
            left -= 1
            if left < 0:
                raise BadImage(source, f"its indexes name more than {MAX_DOCUMENTS} others")
            return repository.named_manifest(inner)

        fitting = chosen(read_index(content, source), architecture, variant, source, read)
        descriptor = fitting[0][0]
        content = repository.named_manifest(descriptor)
    elif descriptor.media_type not in MANIFESTS:
        raise BadImage(source, f"it is no image but {descriptor.media_type[:80]!a}", "name an image")
    return Remote(first, descriptor, read_manifest(content, source))


class Pulled(Record):
    """What a pull came to: the image if it is here by now, else the source to take it from; where it was had from, and
    why not from the mirrors before that."""

    remote: Remote
    repository: Repository
    image: Image | None
    source: PulledImage | None
    fetched: int
    notes: tuple[str, ...]


def pull(
    store: Store,
    repositories: Sequence[Repository],
    reference: RegistryReference,
    architecture: str,
    variant: str,
    most: int,
    report: Report,
    judge: Judge,
    begin: Callable[[], None] | None = None,
) -> Pulled:
    """Bring the layers of an image here, from the first of its repositories that has all of it. `judge` is asked
    before they come. Raises what it raises, and what the last one does: BadImage, NotInRegistry and RegistryError.

    `begin` is called before files can be put into the store, while the process has one thread; of an image that has
    indexes only what is missing is fetched then. Without it the layers are fetched whole."""
    notes: list[str] = []
    for number, repository in enumerate(repositories, 1):
        try:
            remote = resolve(repository, reference, architecture, variant)
            image = image_of(store, remote.descriptor.digest)
            manifests = remote.digest, remote.descriptor.digest
            if image is not None:
                judge(repository, manifests, image.digest)
                return Pulled(remote, repository, image, None, 0, tuple(notes))
            source = PulledImage(store, repository, reference, remote, most)
            own = source.image.config.own.get("image")
            judge(repository, manifests, own if isinstance(own, str) else "")
            fetched = 0
            if begin is not None:
                begin()
                indexed = IndexedPull(store, repository, remote.manifest.layers, source.image.config, report)
                try:
                    image = indexed.take()
                    return Pulled(remote, repository, image, None, indexed.fetched, tuple(notes))
                except Unfit as unfit:
                    fetched = indexed.fetched
                    if not unfit.foreseen:
                        notes.append(f"its layers were fetched whole: {unfit}")
            fetched += source.fetch(report)
            return Pulled(remote, repository, None, source, fetched, tuple(notes))
        except (RegistryError, NotInRegistry) as error:
            if number == len(repositories):
                raise
            notes.append(f"a mirror was left out: {error.message}")
    raise AssertionError("an image has a registry")


class PulledImage:
    """An image whose layers are in the store's blobs, as a source of them."""

    def __init__(
        self, store: Store, repository: Repository, reference: RegistryReference, remote: Remote, most: int
    ) -> None:
        """Read its configuration. Raises TooLargeToFetch for a layer of more than `most` bytes, BadImage and what
        asking raises."""
        self.shown = reference.text
        self._store = store
        self._repository = repository
        config = remote.manifest.config
        content = repository.small_blob(config, MAX_CONFIG, "the configuration")
        layers = tuple(LayerFile(layer.digest, layer.digest, layer.size) for layer in remote.manifest.layers)
        self.image = checked(ImageInFile(read_config(content, self.shown), layers, self.shown), self.shown)
        self._layers = {layer.digest: layer for layer in remote.manifest.layers}
        for layer in remote.manifest.layers:
            if layer.size > most:
                raise TooLargeToFetch(f"{repository.host}/{repository.path}@{layer.digest}", most)

    def fetch(self, report: Report) -> int:
        """Bring all layers here that are not, and return how many bytes came. Raises what downloads raise."""
        layers = list(self._layers.values())
        transfers = Transfers("pull", sum(layer.size for layer in layers), report)
        came: list[int] = []
        # The largest first, so that none is left alone in the end.
        layers.sort(key=lambda layer: -layer.size)
        transfers.run(lambda layer: came.append(self._fetch(layer, transfers)), layers)
        return sum(came)

    def open(self, layer: LayerFile) -> Part:
        """Return a layer's bytes."""
        file = open(self._store.blobs.place(layer.place), "rb")  # noqa: SIM115 - closed with the part
        return Part(file, 0, os.fstat(file.fileno()).st_size)

    def size_of(self, layer: LayerFile) -> int:
        """Return how many bytes a layer has as it travels."""
        return layer.size

    def _fetch(self, layer: Descriptor, transfers: Transfers) -> int:
        blobs = self._store.blobs
        path = blobs.place(layer.digest)
        with self._store.work.exclusive(f"blob-{layer.digest.removeprefix('sha256:')}"):
            if _is(path, layer):
                blobs.use(layer.digest)
                transfers.tell(layer.digest, layer.size)
                return 0
            part = f"{path}.part"
            had = os.path.getsize(part) if os.path.exists(part) else 0
            download(self._repository, layer, part, lambda done: transfers.tell(layer.digest, done))
            os.chmod(part, 0o444)
            os.replace(part, path)
            return max(0, layer.size - had)


def _is(path: str, layer: Descriptor) -> bool:
    """Return whether a file is a layer: it may have been changed since it was put there."""
    try:
        return os.path.getsize(path) == layer.size and digest_of(path) == layer.digest
    except FileNotFoundError:
        return False
