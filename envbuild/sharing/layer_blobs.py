"""Makes a layer into a blob of the store, once."""

from __future__ import annotations

import os
from hashlib import sha256
from typing import Protocol

from envbuild.oci.frames import FrameWriter
from envbuild.oci.layer_groups import Layer
from envbuild.oci.layer_tar import END, header_of, padding, whiteout_of
from envbuild.store.blobs import Blob
from envbuild.store.store import Store
from envbuild.tree.entry import FILE, Entry, encode, object_id

FORMAT = 1
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
                write_layer(store, layer, writer)
                digest, inside = writer.finish()
            finally:
                writer.abandon()
        return store.blobs.adopt(key, temporary, f"sha256:{digest}", f"sha256:{inside}", writer.size)


def key_of(layer: Layer, compression: str) -> str:
    """Return what decides about the bytes of a blob."""
    state = sha256(f"envbuild layer {FORMAT} {compression}\n".encode())
    for path, entry in layer.members:
        state.update(path + b"\0" + (encode([entry]) if entry else b""))
    return state.hexdigest()


class Sink(Protocol):
    """What takes bytes: a file, or a writer that compresses them."""

    def write(self, data: bytes, /) -> object: ...


def write_layer(store: Store, layer: Layer, writer: Sink) -> None:
    """Write a layer's archive. Raises StoreDamaged and NotInLayers."""
    for path, entry in layer.members:
        if entry is None:
            writer.write(whiteout_of(path))
            continue
        writer.write(header_of(path, entry))
        if entry.kind == FILE and entry.size:
            _write_content(store, entry, writer)
            writer.write(padding(entry.size))
    writer.write(END)


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
