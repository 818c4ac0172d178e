"""Writes an image as a file or a folder that other tools take."""

from __future__ import annotations

import errno
import os
import shutil
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import BinaryIO

from envbuild.errors import FileUnusable, UsageError, fields
from envbuild.images.find import facts_of
from envbuild.oci.config import History, Origin, config_of, platform_of
from envbuild.oci.descriptor import LAYER, LAYER_GZIP, LAYER_ZSTD, Descriptor
from envbuild.oci.frames import GZIP, PLAIN, ZSTD
from envbuild.oci.layer_groups import Layer, whole
from envbuild.oci.layer_index import ANNOTATION
from envbuild.oci.layer_tar import END, header_of, padding
from envbuild.oci.layout import (
    INDEX_NAME,
    LAYOUT,
    MANIFEST_NAME,
    MAX_INDEX,
    blob_path,
    config_descriptor,
    docker_manifest,
    entry_of,
    index_with,
    manifest_of,
)
from envbuild.record import Record
from envbuild.sharing.image_layers import layers_of, lineage_of
from envbuild.sharing.layer_blobs import blob_of, write_layer
from envbuild.store.blobs import Blob
from envbuild.store.images import Image
from envbuild.store.store import Store
from envbuild.text import json
from envbuild.tree.entry import DIRECTORY, EMPTY_CONTENT, FILE, Entry

Report = Callable[[str, int, int], None]
MEDIA_TYPES = {ZSTD: LAYER_ZSTD, GZIP: LAYER_GZIP, PLAIN: LAYER}
_CHUNK = 1 << 20
_TIMELESS = {"seconds": 0.0, "output": EMPTY_CONTENT}


@fields
class NotALayout(UsageError):
    """A folder that an image is to be exported to, and that holds something else."""

    path: str
    reason: str

    def text(self) -> tuple[str, str]:
        return f"{self.path} is not an OCI image layout: {self.reason}", "name a new folder, or one with a layout"


class Exported(Record):
    """An image in the form of other tools: its manifest's entry in an index, and all blobs by digest: their bytes, or
    where they lie in the store."""

    entry: Descriptor
    config: str
    layers: tuple[Blob, ...]
    small: tuple[tuple[str, bytes], ...]
    name: str


def export(
    store: Store,
    image: Image,
    name: str,
    tag: str,
    *,
    layering: str | int,
    compression: str,
    threads: int,
    report: Report,
) -> Exported:
    """Return an image with its layers, which the store keeps. Raises StoreDamaged and NotInLayers."""
    layers = layers_of(store, image, layering) or [whole(store.trees, image.tree, "all files")]
    blobs = []
    for number, layer in enumerate(layers):
        report("layers", number, len(layers))
        blobs.append(blob_of(store, layer, compression, threads))
    facts = facts_of(image)
    origin = Origin(image.digest, image.tree, _lasting(image))
    config = config_of(facts, origin, [blob.diff_id for blob in blobs], _history(store, image, layers))
    described = config_descriptor(config)
    manifest = manifest_of(described, [_descriptor(blob, MEDIA_TYPES[compression]) for blob in blobs])
    entry = entry_of(manifest, platform_of(facts.arch), name, tag)
    small = ((described.digest, config), (entry.digest, manifest))
    return Exported(entry, described.digest, tuple(blobs), small, f"{name}:{tag}")


def _descriptor(blob: Blob, media_type: str) -> Descriptor:
    index = ((ANNOTATION, blob.index),) if blob.index else ()
    return Descriptor(media_type, blob.digest, blob.size, index)


def write_folder(exported: Exported, path: str) -> None:
    """Put an image into a folder, beside others that are there. Raises NotALayout and FileUnusable."""
    before = _index_of(path)
    try:
        os.makedirs(f"{path}/{blob_path('')}", exist_ok=True)
        for blob in exported.layers:
            _place(blob, f"{path}/{blob_path(blob.digest)}")
        for digest, content in exported.small:
            _put(f"{path}/{blob_path(digest)}", content)
        _put(f"{path}/{LAYOUT[0]}", LAYOUT[1])
        _put(f"{path}/{INDEX_NAME}", _with(exported.entry, before, path))
    except OSError as error:
        raise _unusable(path, error) from error


def write_archive(exported: Exported, file: BinaryIO, *, docker: bool) -> None:
    """Write an image as a tar archive with an OCI image layout, which for docker says its parts a second time."""
    index = index_with(exported.entry, None)
    small = {LAYOUT[0]: LAYOUT[1], INDEX_NAME: index}
    small |= {blob_path(digest): content for digest, content in exported.small}
    if docker:
        layers = [blob.digest for blob in exported.layers]
        small[MANIFEST_NAME] = docker_manifest(exported.config, layers, exported.name)
    large = {blob_path(blob.digest): blob for blob in exported.layers}
    for folder in ("blobs", blob_path("").rstrip("/")):
        file.write(header_of(folder.encode(), Entry(folder.encode(), DIRECTORY, 0o755, 0, 0, 0)))
    for path in sorted({*small, *large}):
        size = len(small[path]) if path in small else large[path].size
        file.write(header_of(path.encode(), Entry(path.encode(), FILE, 0o644, 0, 0, 0, size)))
        if path in small:
            file.write(small[path])
        else:
            with open(large[path].path, "rb") as blob:
                shutil.copyfileobj(blob, file, _CHUNK)
        file.write(padding(size))
    file.write(END)


def write_tar(store: Store, image: Image, file: BinaryIO) -> None:
    """Write all files of an image as one plain tar archive. Raises StoreDamaged and NotInLayers."""
    write_layer(store, whole(store.trees, image.tree, ""), file)


@contextmanager
def new_file(path: str) -> Iterator[BinaryIO]:
    """Yield a file that takes the place of `path` when it is whole. What is no regular file, such as a pipe, is written
    to as it is. Raises FileUnusable."""
    if os.path.exists(path) and not os.path.isfile(path):
        with _opened(path, "wb") as file:
            yield file
        return
    with new_path(path) as temporary, open(temporary, "xb") as file:
        yield file


@contextmanager
def new_path(path: str) -> Iterator[str]:
    """Yield a path beside `path`; what is made there takes its place in the end. Raises FileUnusable."""
    temporary = f"{path}.{os.getpid()}.new"
    try:
        yield temporary
        os.replace(temporary, path)
    except BaseException as error:
        try:
            os.unlink(temporary)
        except OSError:
            pass
        if isinstance(error, OSError):
            raise _unusable(path, error) from error
        raise


def _opened(path: str, mode: str) -> BinaryIO:
    try:
        return open(path, mode)  # type: ignore[return-value]  # of a binary mode
    except OSError as error:
        raise _unusable(path, error) from error


def _unusable(path: str, error: OSError) -> FileUnusable:
    return FileUnusable(path, str(error.strerror), "name a place that can be written")


def _history(store: Store, image: Image, layers: list[Layer]) -> list[History]:
    base, steps = lineage_of(store, image)
    lines = [History(layer.title, comment="envbuild") for layer in layers]
    said = {layer.title for layer in layers}
    if base is not None and base.text not in said:
        lines.append(History(base.text, empty=True))
    return [*lines, *(History(step.text, empty=True) for step in steps if step.text not in said)]


def _lasting(image: Image) -> str:
    """Return of the detail of an image's build what is the same in each: the recipe's steps, and not how long they
    took, what they printed, and in which commit and checkout that was."""
    known = image.known
    stages = [
        {
            **stage,
            "steps": [
                {**{name: value for name, value in step.items() if name != "commit"}, **_TIMELESS}
                for step in stage["steps"]
            ],
        }
        for stage in known.get("stages", [])
    ]
    kept = {name: known[name] for name in ("recipe", "path", "parameters") if name in known}
    return json.dumps({**kept, "stages": stages}, sort_keys=True, separators=(",", ":"))


def _index_of(path: str) -> bytes | None:
    """Return the index of the layout in a folder, None where the folder is empty or not there yet."""
    try:
        names = os.listdir(path)
    except FileNotFoundError:
        return None
    except OSError as error:
        raise _unusable(path, error) from error
    if not names:
        return None
    if LAYOUT[0] not in names:
        raise NotALayout(path, f"it has no {LAYOUT[0]}")
    try:
        with open(f"{path}/{INDEX_NAME}", "rb") as file:
            content = file.read(MAX_INDEX + 1)
    except FileNotFoundError:
        return None
    if len(content) > MAX_INDEX:
        raise NotALayout(path, f"its {INDEX_NAME} has more than {MAX_INDEX:,} bytes")
    return content


def _with(entry: Descriptor, before: bytes | None, path: str) -> bytes:
    try:
        return index_with(entry, before)
    except ValueError as error:
        raise NotALayout(path, f"{INDEX_NAME}: {error}") from error


def _place(blob: Blob, target: str) -> None:
    """Give a blob a second name, or copy it where the file systems differ."""
    try:
        if os.path.getsize(target) == blob.size:
            return
        os.unlink(target)
    except FileNotFoundError:
        pass
    try:
        os.link(blob.path, target)
    except OSError as error:
        if error.errno not in (errno.EXDEV, errno.EPERM, errno.EMLINK):
            raise
        shutil.copyfile(blob.path, target)


def _put(path: str, content: bytes) -> None:
    temporary = f"{path}.{os.getpid()}.new"
    with open(temporary, "xb") as file:
        file.write(content)
    os.replace(temporary, path)


def parts(exported: Exported) -> Mapping[str, int]:
    """Return the sizes of all blobs, by digest."""
    return {
        **{blob.digest: blob.size for blob in exported.layers},
        **{digest: len(content) for digest, content in exported.small},
    }
