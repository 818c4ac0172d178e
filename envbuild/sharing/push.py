"""Sends an exported image to a registry: the blobs that it lacks, and then the manifest, so that a tag never names what
is not whole."""

from __future__ import annotations

import io
from collections.abc import Callable
from typing import IO

from envbuild.oci.descriptor import MANIFEST
from envbuild.record import Record
from envbuild.registry.client import Repository
from envbuild.registry.reference import LATEST, RegistryReference
from envbuild.registry.upload import Source, mount, upload
from envbuild.sharing.export import Exported
from envbuild.sharing.known_manifests import note_blobs, repositories_of
from envbuild.sharing.transfers import Report, Transfers
from envbuild.store.store import Store


class Pushed(Record):
    """What a push did: the manifest's digest, and the bytes of the blobs that were sent, that were taken over from
    other repositories, and that were there."""

    digest: str
    sent: int
    mounted: int
    there: int


def push(
    store: Store, repository: Repository, reference: RegistryReference, exported: Exported, there: str, report: Report
) -> Pushed:
    """Send an image. `there` is the digest that the tag has in the registry. Raises what asking and uploading
    raise; then the tag is as it was."""
    tag = reference.tag or LATEST
    digest = exported.entry.digest
    documents = dict(exported.small)
    sizes = {blob.digest: blob.size for blob in exported.layers}
    sizes[exported.config] = len(documents[exported.config])
    if there == digest:
        note_blobs(store, repository.host, repository.path, sizes)
        return Pushed(digest, 0, 0, sum(sizes.values()))
    openers: dict[str, Callable[[], IO[bytes]]] = {blob.digest: _opener(blob.path) for blob in exported.layers}
    openers[exported.config] = lambda: io.BytesIO(documents[exported.config])
    # The database is read in this thread alone.
    elsewhere = {
        blob: [other for other in repositories_of(store.memo, repository.host, blob) if other != repository.path]
        for blob in sizes
    }
    transfers = Transfers("push", sum(sizes.values()), report)
    done: dict[str, str] = {}

    def send(blob: str) -> None:
        size = sizes[blob]
        if repository.has_blob(blob, size):
            done[blob] = "there"
        elif any(mount(repository, blob, other) for other in elsewhere[blob]):
            done[blob] = "mounted"
        else:
            upload(repository, Source(blob, size, openers[blob], lambda at: transfers.tell(blob, at)))
            done[blob] = "sent"
        transfers.tell(blob, size)

    transfers.run(send, sorted(sizes, key=lambda blob: -sizes[blob]))
    repository.put_manifest(tag, MANIFEST, documents[digest])
    note_blobs(store, repository.host, repository.path, sizes)
    sums = {how: sum(sizes[blob] for blob in done if done[blob] == how) for how in ("sent", "mounted", "there")}
    return Pushed(digest, sums["sent"], sums["mounted"], sums["there"])


def _opener(path: str) -> Callable[[], IO[bytes]]:
    return lambda: open(path, "rb")
