"""Which image of the store a registry's manifest is, and in which repositories blobs are: noted when they were pulled
or pushed. Losing it costs time only."""

from __future__ import annotations

from collections.abc import Iterable

from envbuild.store.images import Image
from envbuild.store.step_cache import Memo
from envbuild.store.store import Store
from envbuild.text import json

_IMAGE, _REPOSITORY = "manifest", "blob in registry"
_MOST = 4
"""Repositories that are remembered for each blob."""


def image_of(store: Store, manifest: str) -> Image | None:
    """Return the image that a manifest of this digest was made into, None if it is not here any more."""
    known = store.memo.get(_IMAGE, manifest)
    image = store.images.get(known.decode()) if known is not None else None
    return image if image is not None and store.trees.has(image.tree) and not store.leads_to_lost(image.tree) else None


def note_image(store: Store, manifest: str, image: str) -> None:
    """Note what a manifest was made into, or made of."""
    store.memo.put(_IMAGE, manifest, image.encode())


def repositories_of(memo: Memo, host: str, blob: str) -> list[str]:
    """Return the repositories of a host that had a blob, the latest first."""
    known = memo.get(_REPOSITORY, f"{host} {blob}")
    return json.loads(known.decode()) if known is not None else []


def note_blobs(store: Store, host: str, repository: str, blobs: Iterable[str]) -> None:
    """Note that a repository has these blobs."""
    with store.database.transaction():
        for blob in blobs:
            known = repositories_of(store.memo, host, blob)
            if known[:1] != [repository]:
                others = [other for other in known if other != repository]
                names = json.dumps([repository, *others][:_MOST])
                store.memo.put(_REPOSITORY, f"{host} {blob}", names.encode())
