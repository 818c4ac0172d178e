"""On which image another was built that came from elsewhere.

Layers say it with proof: the tree of an image is what its layers give, and they were held against their digests when
they were read. So an image whose layers are the first ones of another is what that was built on. Annotations and labels
say it, too (image specification, "Pre-Defined Annotation Keys"), but whoever made the image could write there what he
liked.
"""

from __future__ import annotations

from envbuild.digest import sha256_of
from envbuild.record import Pairs, Record
from envbuild.sharing.known_manifests import image_of
from envbuild.store.images import Image
from envbuild.store.store import Store
from envbuild.text import json

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

BASE_NAME, BASE_DIGEST = "org.opencontainers.image.base.name", "org.opencontainers.image.base.digest"
_LAYERS, _IMAGE, _SAID = "layers of image", "image of layers", "said of base"
_MAX_NAME = 300


class SaidBase(Record):
    """What an image says of its base: a name in a registry, and the digest of a manifest there; "" where it does not
    say that."""

    name: str
    digest: str


def note_layers(store: Store, image: str, diff_ids: Sequence[str]) -> None:
    """Note the layers of an image, lowest first, by the digests that they have uncompressed and were held against."""
    if diff_ids:
        store.memo.put(_LAYERS, image, json.dumps(list(diff_ids)).encode())
        store.memo.put(_IMAGE, _chain(diff_ids)[-1], image.encode())


def note_said(store: Store, image: str, annotations: Pairs) -> None:
    """Note what the manifest of an image says of its base."""
    said = _said(annotations)
    if said is not None:
        store.memo.put(_SAID, image, json.dumps([said.name, said.digest]).encode())


def base_by_layers(store: Store, image: Image) -> Image | None:
    """Return the image of the store with most layers of those that another one begins with, None if there is none."""
    kept = store.memo.get(_LAYERS, image.digest)
    if kept is None:
        return None
    for chained in reversed(_chain(json.loads(kept.decode()))[:-1]):
        known = store.memo.get(_IMAGE, chained)
        base = store.images.get(known.decode()) if known is not None else None
        if base is not None and base.digest != image.digest and store.trees.has(base.tree):
            return base
    return None


def said_base(store: Store, image: Image, labels: Pairs) -> SaidBase | None:
    """Return what an image, or the manifest that it came with, says of its base."""
    kept = store.memo.get(_SAID, image.digest)
    if kept is not None:
        return SaidBase(*json.loads(kept.decode()))
    return _said(labels)


def image_said(store: Store, said: SaidBase) -> Image | None:
    """Return the image of the store that was pulled by the manifest which an image says is its base."""
    return image_of(store, said.digest) if said.digest else None


def _said(pairs: Pairs) -> SaidBase | None:
    known = dict(pairs)
    name, digest = known.get(BASE_NAME, "")[:_MAX_NAME], known.get(BASE_DIGEST, "")[:_MAX_NAME]
    return SaidBase(name, digest) if name or digest else None


def _chain(diff_ids: Iterable[str]) -> list[str]:
    """Return a digest for each beginning of a list of layers (image specification, "Layer ChainID")."""
    chained: list[str] = []
    for diff_id in diff_ids:
        above = f"{chained[-1]} {diff_id}".encode() if chained else b""
        chained.append(f"sha256:{sha256_of(above)}" if above else diff_id)
    return chained
