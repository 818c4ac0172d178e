"""A directory that steps keep a cache in (`cache=`), as it lies in a registry: one archive, in an artifact whose record
says what it is of, so that it is signed and trusted as results of steps are."""

from __future__ import annotations

import os
import re
from typing import IO, Any, BinaryIO, cast

from envbuild.archive.compression import uncompressed
from envbuild.instances.copy import Source
from envbuild.instances.copy_tar import read_tar, write_tar
from envbuild.oci.artifact import Artifact, artifact_manifest, read_artifact
from envbuild.oci.descriptor import Descriptor, json_bytes
from envbuild.oci.frames import ZSTD, FrameWriter
from envbuild.oci.manifest import BadImage, object_from
from envbuild.sharing.shared_step import RECORDS

KIND = "application/vnd.envbuild.mount.v1"
LAYER = "application/vnd.envbuild.mount.v1.tar+zstd"
FORMAT = 1
MAX_ARCHIVE = 4 << 30
"""Bytes of an archive; a cache that takes more stays where it is."""
_MAX_RECORD = 4096
_DIGEST = re.compile(r"sha256:[0-9a-f]{64}")


def pack_directory(path: str, target: str, threads: int) -> Descriptor:
    """Write what is in a directory to the file `target`, and return what names that. Raises OSError and the errors of
    what can't be copied."""
    held = os.open(path, os.O_PATH | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
    try:
        with open(target, "xb", buffering=0) as file:
            writer = FrameWriter(file, ZSTD, threads)
            try:
                # It is only ever written to.
                write_tar(Source(held, "", True, path), cast(BinaryIO, writer), lambda name, reason: None)
                digest = writer.finish().digest
            finally:
                writer.abandon()
    finally:
        os.close(held)
    return Descriptor(LAYER, f"sha256:{digest.removeprefix('sha256:')}", os.stat(target).st_size)


def unpack_directory(file: IO[bytes], path: str, *, owners: bool) -> None:
    """Put what is in an archive into an empty directory. No member leads out of it or through a link, is a device or
    has a set-user-id bit. `owners` is whether files can be given to others. Raises ArchiveError and what else
    `read_tar` raises."""
    stream = uncompressed(file, "a cache")
    held = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
    try:
        read_tar(cast(BinaryIO, stream), held, None, archive=owners, skipped=lambda name, reason: None)
    finally:
        os.close(held)


def manifest_of_mount(tag: str, archive: Descriptor) -> bytes:
    """Return the manifest of a cache that lies under a tag."""
    record = {"format": FORMAT, "mount": tag, "archive": [archive.digest, archive.size]}
    return artifact_manifest(Artifact(KIND, (archive,), ((RECORDS, json_bytes(record).decode()),)))


def read_mount(manifest: bytes, tag: str) -> Descriptor:
    """Return the archive of a cache that lies under a tag, and belongs there. Raises BadImage."""
    artifact = read_artifact(manifest, tag)
    text = dict(artifact.annotations).get(RECORDS, "").encode("utf-8", "replace")
    plain = object_from(text, tag, _MAX_RECORD, "the record of a cache")
    digest, size = _archive(plain)
    if artifact.kind != KIND or plain.get("format") != FORMAT or plain.get("mount") != tag:
        raise BadImage(tag, "it is not this cache")
    if not isinstance(digest, str) or not _DIGEST.fullmatch(digest):
        raise BadImage(tag, "its archive has no digest")
    if not isinstance(size, int) or isinstance(size, bool) or not 0 < size <= MAX_ARCHIVE:
        raise BadImage(tag, "its archive has no size, or too much of it")
    return Descriptor(LAYER, digest, size)


def _archive(plain: dict[str, Any]) -> tuple[object, object]:
    archive = plain.get("archive")
    return (archive[0], archive[1]) if isinstance(archive, list) and len(archive) == 2 else (None, None)
