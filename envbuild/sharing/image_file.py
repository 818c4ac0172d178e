"""A file or folder with images of others: an OCI image layout, as a folder or an archive, or an archive of docker's.

Names in an archive are looked up in a table of its members; only a folder's blobs are files of this machine, and their
paths are made of digests alone. Each blob is held against its digest and size while it is read.
"""

from __future__ import annotations

import errno
import os
import posixpath
import stat
from hashlib import sha256
from typing import IO, Any

from envbuild.archive.compression import MAGIC, open_compressed
from envbuild.archive.limits import ArchiveError
from envbuild.archive.tar import TarReader
from envbuild.errors import FileUnusable
from envbuild.oci.descriptor import Descriptor
from envbuild.oci.layout import INDEX_NAME, LAYOUT, MANIFEST_NAME, blob_path
from envbuild.oci.manifest import (
    MAX_CONFIG,
    MAX_DOCUMENT,
    BadImage,
    read_config,
    read_docker_manifest,
    read_index,
    read_manifest,
)
from envbuild.sharing.part import Part
from envbuild.sharing.platform_choice import ImageInFile, LayerFile, checked, chosen

MAX_SIZE = 64 << 30
"""Bytes of an archive that is uncompressed on disk."""
_CHUNK = 1 << 20


class ImageFile:
    """A file or folder with images. Raises BadImage, ArchiveError and FileUnusable."""

    def __init__(self, path: str, scratch: str) -> None:
        """`scratch` is a path in the work area where an archive that is compressed is put uncompressed."""
        self.path = path
        self.shown = os.path.basename(path.rstrip("/")) or path
        self._folder = os.path.isdir(path)
        self._members: dict[str, tuple[int, int]] = {}
        self._links: dict[str, str] = {}
        self._file = path
        if not self._folder:
            self._index_archive(scratch)

    def images(self, architecture: str, variant: str) -> list[ImageInFile]:
        """Return the images that are for a platform, each once."""
        if self._has(LAYOUT[0]) and self._has(INDEX_NAME):
            index = read_index(self._document(INDEX_NAME, MAX_DOCUMENT), self.shown)
            fitting = chosen(index, architecture, variant, self.shown, self._inner_index)
            return [self._image(descriptor, name) for descriptor, name in fitting]
        if self._has(MANIFEST_NAME):
            images = read_docker_manifest(self._document(MANIFEST_NAME, MAX_DOCUMENT), self.shown)
            return [self._docker_image(image) for image in images]
        raise BadImage(
            self.shown,
            f"it has neither {INDEX_NAME} nor {MANIFEST_NAME}, so it is no image",
            "a plain archive of files is a base: from tar:FILE",
        )

    def open(self, layer: LayerFile) -> Part:
        """Return a layer's bytes as they lie there."""
        return self._open(layer.place, layer.size if layer.digest else None, hashed=bool(layer.digest))

    def size_of(self, layer: LayerFile) -> int:
        """Return the bytes of a layer as it lies there. Raises BadImage for one that isn't there."""
        with self.open(layer) as part:
            return part.size

    def _image(self, descriptor: Descriptor, name: str) -> ImageInFile:
        manifest = read_manifest(self._blob(descriptor, MAX_DOCUMENT, "a manifest"), self.shown)
        config = read_config(self._blob(manifest.config, MAX_CONFIG, "the configuration"), self.shown)
        layers = tuple(LayerFile(blob_path(layer.digest), layer.digest, layer.size) for layer in manifest.layers)
        return checked(ImageInFile(config, layers, name), self.shown)

    def _docker_image(self, image: dict[str, Any]) -> ImageInFile:
        config = read_config(self._document(image["Config"], MAX_CONFIG), self.shown)
        layers = tuple(LayerFile(place, "", 0) for place in image["Layers"])
        return checked(ImageInFile(config, layers, next(iter(image.get("RepoTags") or ()), "")), self.shown)

    def _inner_index(self, descriptor: Descriptor) -> bytes:
        return self._blob(descriptor, MAX_DOCUMENT, "an index")

    def _blob(self, descriptor: Descriptor, most: int, what: str) -> bytes:
        if descriptor.size > most:
            raise BadImage(self.shown, f"{what} of {descriptor.size:,} bytes, more than {most:,}")
        content = self._document(blob_path(descriptor.digest), most)
        if len(content) != descriptor.size or f"sha256:{sha256(content).hexdigest()}" != descriptor.digest:
            raise BadImage(self.shown, f"{what} is not what its digest says: {descriptor.digest[:19]}")
        return content

    def _document(self, place: str, most: int) -> bytes:
        with self._open(place, None) as part:
            if part.size > most:
                raise BadImage(self.shown, f"{place[:80]!a} has {part.size:,} bytes, more than {most:,}")
            return part.read()

    def _has(self, place: str) -> bool:
        return os.path.isfile(f"{self.path}/{place}") if self._folder else place in self._members

    def _open(self, place: str, size: int | None, *, hashed: bool = False) -> Part:
        if self._folder:
            try:
                file = _plain_file(f"{self.path}/{place}")
            except OSError as error:
                raise BadImage(self.shown, f"{place[:100]!a}: {error.strerror}") from error
            start, actual = 0, os.fstat(file.fileno()).st_size
        else:
            for _ in range(8):
                place = self._links.get(place, place)
            if place not in self._members:
                raise BadImage(self.shown, f"{place[:100]!a} is not in it")
            start, actual = self._members[place]
            file = open(self._file, "rb")  # noqa: SIM115 - closed with the part that is returned
        if size is not None and size != actual:
            file.close()
            raise BadImage(self.shown, f"{place[:100]!a} has {actual:,} bytes, and not {size:,} as it says")
        return Part(file, start, actual, hashed=hashed)

    def _index_archive(self, scratch: str) -> None:
        """Note where each member of the archive lies; one that is compressed is put into `scratch` first."""
        try:
            with open(self.path, "rb") as file:
                head = file.read(8)
        except OSError as error:
            raise FileUnusable(self.path, str(error.strerror), "name a file that is there") from error
        if any(head.startswith(magic) for magic, _ in MAGIC):
            source = open_compressed(self.path)
            try:
                with open(scratch, "xb") as copy:
                    while data := source.read(_CHUNK):
                        if copy.write(data) and copy.tell() > MAX_SIZE:
                            raise BadImage(self.shown, f"it unpacks to more than {MAX_SIZE:,} bytes")
            finally:
                source.close()
            self._file = scratch
        source = open_compressed(self._file)
        try:
            reader = TarReader(source, self.shown)
            for member in reader.members():
                place = member.path.decode(errors="surrogateescape")
                if member.kind == "f" and member.sparse is None:
                    self._members[place] = (reader.offset, member.stored)
                elif member.kind in ("l", "hard link"):
                    target = member.target.decode(errors="surrogateescape")
                    inside = posixpath.dirname(place) if member.kind == "l" else ""
                    self._links[place] = posixpath.normpath(posixpath.join(inside, target))
        except ArchiveError as error:
            raise BadImage(self.shown, f"{error.reason} (at byte {error.offset})") from error
        finally:
            source.close()


def _plain_file(path: str) -> IO[bytes]:
    """Open a regular file that no link at its end leads away to. Raises OSError."""
    descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        raise OSError(errno.EINVAL, "not a regular file")
    return os.fdopen(descriptor, "rb")
