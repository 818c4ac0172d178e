"""Brings what a manifest names from one repository of a registry to another one, as it is: nothing is unpacked."""

from __future__ import annotations

from collections.abc import Iterator
from typing import IO

from envbuild.oci.artifact import read_artifact
from envbuild.oci.descriptor import MANIFEST, Descriptor
from envbuild.oci.manifest import INDEXES, MANIFESTS, BadImage, read_index, read_manifest
from envbuild.packages.errors import TooLargeToFetch
from envbuild.record import Record
from envbuild.registry.client import Repository
from envbuild.registry.download import download
from envbuild.registry.upload import Source, mount, upload
from envbuild.sharing.known_manifests import note_blobs
from envbuild.sharing.platform_choice import MAX_NESTED
from envbuild.sharing.pull import MAX_DOCUMENTS
from envbuild.sharing.transfers import Report, Transfers
from envbuild.store.store import Store


class Copied(Record):
    """Bytes that were taken over within the registry, that went through this machine, and that were there."""

    mounted: int
    sent: int
    there: int


class _Document(Record):
    """A manifest or an index, with its own bytes."""

    descriptor: Descriptor
    content: bytes


def copy_image(
    store: Store,
    source: Repository,
    target: Repository,
    manifest: Descriptor,
    content: bytes,
    most: int,
    report: Report,
) -> Copied:
    """Bring all that a manifest or an index names to another repository, and itself by its digest; each blob is of at
    most so many bytes. No tag moves. Raises BadImage, TooLargeToFetch and what asking, down- and uploading raise."""
    documents = list(_documents(source, manifest, content))
    blobs = {blob.digest: blob for document in documents for blob in _blobs(document)}
    transfers = Transfers("copy", sum(blob.size for blob in blobs.values()), report)
    done: dict[str, str] = {}

    def bring(blob: Descriptor) -> None:
        done[blob.digest] = _bring(store, source, target, blob, most, transfers)
        transfers.tell(blob.digest, blob.size)

    transfers.run(bring, sorted(blobs.values(), key=lambda blob: -blob.size))
    for document in documents:
        target.put_manifest(document.descriptor.digest, document.descriptor.media_type, document.content)
    note_blobs(store, target.host, target.path, blobs)
    sums = (sum(blobs[digest].size for digest in done if done[digest] == how) for how in ("mounted", "sent", "there"))
    return Copied(*sums)


def _documents(source: Repository, manifest: Descriptor, content: bytes) -> Iterator[_Document]:
    """Yield the manifests that a document names, however deep, and the document itself, what is named first."""
    left = MAX_DOCUMENTS

    def walk(descriptor: Descriptor, content: bytes, depth: int) -> Iterator[_Document]:
        nonlocal left
        if descriptor.media_type in INDEXES:
            if depth > MAX_NESTED:
                raise BadImage(source.path, "its indexes name indexes that name indexes")
            for inner in read_index(content, source.path):
                left -= 1
                if left < 0:
                    raise BadImage(source.path, f"its indexes name more than {MAX_DOCUMENTS} others")
                yield from walk(inner, source.named_manifest(inner), depth + 1)
        elif descriptor.media_type not in MANIFESTS:
            raise BadImage(source.path, f"it is no image but {descriptor.media_type[:80]!a}", "name an image")
        yield _Document(descriptor, content)

    yield from walk(manifest, content, 0)


def _blobs(document: _Document) -> tuple[Descriptor, ...]:
    """Return the blobs that a manifest names. Beside images an index may have artifacts, such as attestations."""
    descriptor, content = document.descriptor, document.content
    if descriptor.media_type in INDEXES:
        return ()
    if descriptor.media_type == MANIFEST:
        artifact = read_artifact(content, descriptor.digest)
        return (artifact.config, *artifact.layers)
    manifest = read_manifest(content, descriptor.digest)
    return (manifest.config, *manifest.layers)


def _bring(
    store: Store, source: Repository, target: Repository, blob: Descriptor, most: int, transfers: Transfers
) -> str:
    if target.has_blob(blob.digest, blob.size):
        return "there"
    if source.host == target.host and mount(target, blob.digest, source.path):
        return "mounted"
    if blob.size > most:
        raise TooLargeToFetch(f"{source.host}/{source.path}@{blob.digest}", most)
    with store.work.file() as path:
        download(source, blob, path, lambda done: transfers.tell(blob.digest, 0))

        def opened() -> IO[bytes]:
            return open(path, "rb")

        upload(target, Source(blob.digest, blob.size, opened, lambda done: transfers.tell(blob.digest, done)))
    return "sent"
