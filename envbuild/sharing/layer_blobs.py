"""Makes a layer into a blob of the store, once."""

from __future__ import annotations

import os
from collections.abc import Callable
from hashlib import sha256
from typing import Protocol

from envbuild.oci.frames import SHARED, FrameWriter
from envbuild.oci.layer_groups import Layer
from envbuild.oci.layer_index import IndexPlace, index_of
from envbuild.oci.layer_tar import END, header_of, padding, whiteout_of
from envbuild.store.blobs import Blob
from envbuild.store.store import Store
from envbuild.tree.entry import FILE, Entry, encode, object_id

FORMAT = 3
"""Of the archives and of how they are compressed: another number makes all blobs anew."""
_CHUNK = 1 << 20


def blob_of(store: Store, layer: Layer, compression: str, threads: int) -> Blob:
    """Return the blob of a layer, made if it is not there. Raises StoreDamaged and NotInLayers."""
    key = key_of(layer, compression)
    known = store.blobs.get(key)
    if known is not None:
        return known
    with store.work.file() as temporary:
        with open(temporary, "xb", buffering=0) as file:
            writer = FrameWriter(file, compression, threads)
            try:
                places = write_layer(store, layer, writer, writer.cut)
                done = writer.finish(lambda frames: index_of(layer.members, places, frames))
            finally:
                writer.abandon()
        index = ""
        if done.index is not None:
            index = IndexPlace(done.end, len(done.index), f"sha256:{sha256(done.index).hexdigest()}").text
        digest, inside = f"sha256:{done.digest}", f"sha256:{done.inside}"
        return store.blobs.adopt(key, temporary, digest, inside, writer.size, index)


def key_of(layer: Layer, compression: str) -> str:
    """Return what decides about the bytes of a blob."""
    state = sha256(f"envbuild layer {FORMAT} {compression}\n".encode())
    for path, entry in layer.members:
        state.update(path + b"\0" + (encode([entry]) if entry else b""))
    return state.hexdigest()


class Sink(Protocol):
    """What takes bytes: a file, or a writer that compresses them."""

    def write(self, data: bytes, /) -> object: ...


def write_layer(
    store: Store, layer: Layer, writer: Sink, cut: Callable[[int], None] = lambda _: None
) -> dict[bytes, int]:
    """Write a layer's archive, and return where in it the content of each file begins. `cut` is called, with the bytes
    that are few for it, where a part of the archive may end. Raises StoreDamaged and NotInLayers."""
    places = {}
    at = 0
    for path, entry in layer.members:
        header = header_of(path, entry) if entry is not None else whiteout_of(path)
        writer.write(header)
        at += len(header)
        if entry is None or entry.kind != FILE or not entry.size:
            continue
        large = entry.size >= SHARED
        if large:
            cut(0)
        places[path] = at
        _write_content(store, entry, writer)
        cut(0 if large else SHARED)
        filling = padding(entry.size)
        writer.write(filling)
        at += entry.size + len(filling)
    writer.write(END)
    return places


def _write_content(store: Store, entry: Entry, writer: Sink) -> None:
    state = sha256()
    left = entry.size
    try:
        with open(store.objects.where(object_id(entry)), "rb", buffering=0) as file:
            while left and (data := file.read(min(left, _CHUNK))):
                state.update(data)
                writer.write(data)
                left -= len(data)
    except FileNotFoundError:
        left = -1
    if left or state.hexdigest() != entry.digest:
        # Read once more by those who know what to do with damage, and say so.
        os.close(store.objects.open(entry))
