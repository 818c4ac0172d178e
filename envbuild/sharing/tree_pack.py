"""What a tree has that another lacks, as bytes for a registry: an index, and the contents of its files.

The index has the canonical form of each new directory (tree/entry.py) and the digests of the contents, in their order.
So whoever has the tree's digest needs to trust nobody: each part is held against the digest that leads to it. Equal
pairs of trees give equal bytes, whoever packs them.
"""

from __future__ import annotations

import re
import struct
from hashlib import sha256
from io import BytesIO

from envbuild.bases.tarball import OVERLAY
from envbuild.oci.frames import ZSTD, FrameWriter
from envbuild.record import Record
from envbuild.store.blobs import Blob
from envbuild.store.objects import Objects
from envbuild.store.store import Store
from envbuild.tree.entry import DIRECTORY, EMPTY_CONTENT, FILE, LINK, ROOT_NAME, Digest, Entry, decode, encode
from envbuild.tree.lookup import Trees

MAGIC = b"envbuild tree pack 1\n"
MAX_INDEX = 256 << 20
"""Bytes of an index, unpacked: about two million files."""
MAX_FILE = 64 << 30
_COUNTS = struct.Struct(">II")
_CHUNK = 1 << 20
_DIGEST = re.compile(r"[0-9a-f]{64}")
_DEVICE = re.compile(rb"[0-9]{1,7}:[0-9]{1,7}")
_KEPT_XATTRS = (b"user.", b"security.capability", b"system.posix_acl_")
_MAX_NAME = 255
_MAX_TARGET = 4095


class BadPack(Exception):
    """A pack that is damaged, or holds what no tree has."""


class Index(Record):
    """What is in a pack: the entries of directories by digest, and the contents of files with their sizes, in the order
    in which they lie there."""

    directories: dict[Digest, tuple[Entry, ...]]
    contents: tuple[tuple[Digest, int], ...]


class NewParts(Record):
    """What a tree has that another lacks: directories by digest in their canonical form, and one file for each
    content."""

    directories: dict[Digest, bytes]
    files: tuple[Entry, ...]

    @property
    def size(self) -> int:
        """The bytes of all contents."""
        return sum(entry.size for entry in self.files)


def new_parts(trees: Trees, parent: Digest, tree: Digest) -> NewParts:
    """Return what `tree` has that `parent` lacks; all of it where that is "". What lies at another path there counts as
    new: to look for it everywhere would take as long as to read the whole."""
    directories: dict[Digest, bytes] = {}
    files: dict[Digest, Entry] = {}
    pending = [(parent, tree)]
    while pending:
        old, new = pending.pop()
        if new == old or new in directories:
            continue
        entries = trees.load(new)
        before = {entry.name: entry for entry in trees.load(old)} if old else {}
        directories[new] = encode(entries)
        deeper = []
        for entry in entries:
            known = before.get(entry.name)
            if entry.kind == DIRECTORY and entry.digest:
                deeper.append((known.digest if known is not None and known.kind == DIRECTORY else "", entry.digest))
            elif entry.kind == FILE and entry.size and entry != known:
                files.setdefault(entry.digest, entry)
        pending += reversed(deeper)
    return NewParts(directories, tuple(files.values()))


def pack_index(parts: NewParts) -> bytes:
    """Return the index of these parts, compressed."""
    from zstandard import ZstdCompressor

    bodies = list(parts.directories.values())
    head = MAGIC + _COUNTS.pack(len(bodies), len(parts.files))
    sizes = struct.pack(f">{len(bodies)}I", *map(len, bodies))
    contents = b"".join(bytes.fromhex(entry.digest) + struct.pack(">Q", entry.size) for entry in parts.files)
    return ZstdCompressor(level=3, write_checksum=True).compress(head + sizes + b"".join(bodies) + contents)


def read_index(packed: bytes) -> Index:
    """Return what an index says. Raises BadPack."""
    from zstandard import ZstdDecompressor, ZstdError

    try:
        reader = ZstdDecompressor().stream_reader(BytesIO(packed))
        data = reader.read(MAX_INDEX + 1)
    except ZstdError as error:
        raise BadPack(f"its index can't be unpacked: {error}") from error
    if len(data) > MAX_INDEX:
        raise BadPack(f"its index has more than {MAX_INDEX:,} bytes")
    if not data.startswith(MAGIC):
        raise BadPack("it is of a form that this version does not know")
    try:
        return _parsed(memoryview(data)[len(MAGIC) :])
    except (struct.error, ValueError, UnicodeDecodeError) as error:
        raise BadPack(f"its index is damaged: {error}") from error


def pack_contents(store: Store, key: str, parts: NewParts, threads: int) -> Blob:
    """Return the contents of files as a compressed blob of the store, made if it is not there. Raises StoreDamaged."""
    known = store.blobs.get(key)
    if known is not None:
        return known
    with store.work.file() as temporary:
        with open(temporary, "xb", buffering=0) as file:
            writer = FrameWriter(file, ZSTD, threads)
            try:
                for entry in parts.files:
                    _write(store.objects, entry, writer)
                done = writer.finish()
            finally:
                writer.abandon()
        return store.blobs.adopt(key, temporary, f"sha256:{done.digest}", f"sha256:{done.inside}", writer.size)


def small_contents(store: Store, parts: NewParts) -> bytes:
    """Return the contents of files that are few bytes, compressed. Raises StoreDamaged."""
    from zstandard import ZstdCompressor

    data = b"".join(store.objects.read(entry) for entry in parts.files)
    return ZstdCompressor(level=3, write_checksum=True, write_content_size=True).compress(data)


def _write(objects: Objects, entry: Entry, writer: FrameWriter) -> None:
    with open(objects.open(entry), "rb", buffering=0) as file:
        left = entry.size
        while left and (data := file.read(min(left, _CHUNK))):
            writer.write(data)
            left -= len(data)


def _parsed(data: memoryview) -> Index:
    count, files = _COUNTS.unpack_from(data)
    at = _COUNTS.size
    if count * 4 + files * 40 > len(data) - at:
        raise ValueError("it ends too early")
    sizes = struct.unpack_from(f">{count}I", data, at)
    at += 4 * count
    if at + sum(sizes) + 40 * files != len(data):
        raise ValueError("it has another length than it says")
    directories: dict[Digest, tuple[Entry, ...]] = {}
    for size in sizes:
        body = bytes(data[at : at + size])
        directories[sha256(body).hexdigest()] = checked_directory(body)
        at += size
    contents = []
    for place in range(at, len(data), 40):
        digest, size = bytes(data[place : place + 32]).hex(), struct.unpack_from(">Q", data, place + 32)[0]
        if not 0 < size <= MAX_FILE:
            raise ValueError("it has a file of a size that nothing has")
        contents.append((digest, size))
    return Index(directories, tuple(contents))


def checked_directory(body: bytes) -> tuple[Entry, ...]:
    """Return the entries of a directory that somebody else wrote. Raises ValueError for what no tree of ours has: who
    wrote it chose its digest, too."""
    entries = decode(body)
    if encode(entries) != body or len({entry.name for entry in entries}) != len(entries):
        raise ValueError("a directory that is not in canonical form")
    for entry in entries:
        if len(entry.name) > _MAX_NAME:
            raise ValueError("a name of more than 255 bytes")
        is_root = entry.name == ROOT_NAME
        if is_root and (entry.kind != DIRECTORY or entry.digest):
            raise ValueError("a directory without a name that holds something")
        if entry.kind in (FILE, DIRECTORY) and not is_root and not _DIGEST.fullmatch(entry.digest):
            raise ValueError(f"{entry.name!r} has no digest")
        if entry.kind == FILE and (not entry.size) != (entry.digest == EMPTY_CONTENT):
            raise ValueError(f"{entry.name!r} has a size that its content has not")
        if entry.size and entry.kind != FILE:
            raise ValueError(f"{entry.name!r} has a size, and is no file")
        if entry.kind == LINK and not 0 < len(entry.target) <= _MAX_TARGET:
            raise ValueError(f"{entry.name!r} leads nowhere")
        if entry.kind in "cb" and (not _DEVICE.fullmatch(entry.target) or entry.target == b"0:0"):
            # A device 0:0 removes a file in a layer (overlayfs).
            raise ValueError(f"{entry.name!r} is no device")
        for name, _ in entry.xattrs:
            if name.startswith(OVERLAY) or not name.startswith(_KEPT_XATTRS):
                raise ValueError(f"{entry.name!r} has an attribute that no file may bring")
    return entries
