"""The index of a layer: which files are in it, and where in its compressed blob each of them lies.

It stands in the blob, in a frame of zstd that other readers skip (RFC 8878, 3.1.2), before the table of frames, and the
manifest's descriptor of the layer says where and with which digest. So whoever has most of the files fetches the index
and the frames with the rest.

The files are directories in the canonical form of trees (tree.entry), each with its digest: one that is known needs not
be read. A claim like all that comes from a registry: the reader holds trees and contents against digests.
"""

from __future__ import annotations

import re
import struct
from array import array
from collections.abc import Iterable, Mapping, Sequence
from itertools import accumulate

from zstandard import ZstdCompressor, ZstdDecompressor, ZstdError, frame_content_size

from envbuild.archive.compression import FREE, MAX_RATIO
from envbuild.archive.limits import Limits
from envbuild.oci.layer_groups import Members
from envbuild.record import Record
from envbuild.tree.entry import DIRECTORY, FILE, ROOT_NAME, Digest, Entry, digest_of, encode

ANNOTATION = "envbuild.index"
"""The annotation of a layer that says where in its blob the index is: VERSION OFFSET LENGTH DIGEST."""
VERSION = 1
MAX_PACKED, MAX_PLAIN = 16 << 20, 64 << 20
"""Bytes of an index: a layer of 400,000 files has as many, and larger ones go without."""
MAX_ALL_PACKED, MAX_ALL_PLAIN = 64 << 20, 256 << 20
"""Bytes of the indexes of all layers of an image."""
MAX_FRAME = 8 << 20
"""Bytes of one frame, compressed or not."""
MAX_UNWRITTEN = Limits().holes
_MAGIC = 0x184D2A5C
_HEAD = struct.Struct("<8sIII")
_NAME = b"EBINDEX1"
_PLACE = re.compile(r"([0-9]{1,4}) ([0-9]{1,13}) ([0-9]{1,9}) (sha256:[0-9a-f]{64})")
_CHILDREN = re.compile(rb"(?:\A|(?<=\0))d [^\0]*\0([0-9a-f]{64})(?=\0)")
_SIZES = re.compile(rb"(?:\A|(?<=\0))f [0-7]+ [0-9]+ [0-9]+ -?[0-9]+ ([0-9]{1,19}) ")


class BadIndex(ValueError):
    """An index that is damaged, or of a form that is not understood: the layer has to be taken whole."""


class IndexPlace(Record):
    """Where an index is in a blob, and the digest of its frame."""

    offset: int
    length: int
    digest: str

    @property
    def text(self) -> str:
        """What the annotation says."""
        return f"{VERSION} {self.offset} {self.length} {self.digest}"


class Directory(Record):
    """A directory in canonical form, and where in the archive the contents of its files begin that have any, in the
    order of their names."""

    body: bytes
    places: Sequence[int]


class LayerIndex(Record):
    """What is in a layer: the bytes of each frame compressed and not, the directories by digest, which of them is the
    layer's root, the paths that it hides of the layers below, and how many entries the root unfolds to."""

    frames: tuple[tuple[int, int], ...]
    directories: Mapping[Digest, Directory]
    root: Digest
    gone: tuple[bytes, ...]
    entries: int = 0

    @property
    def starts(self) -> list[tuple[int, int]]:
        """Where each frame begins in the blob and in the archive, and behind the last one where they end."""
        packed, plain = zip(*self.frames, strict=True) if self.frames else ((), ())
        return list(zip(accumulate(packed, initial=0), accumulate(plain, initial=0), strict=True))


def index_of(members: Members, places: Mapping[bytes, int], frames: Sequence[tuple[int, int]]) -> bytes | None:
    """Return the frame of a layer's index; None for one that has none, as it is too large or lacks directories.
    `places` is where in the archive the content of each file begins."""
    directories: dict[Digest, Directory] = {}
    inside: dict[bytes, list[Entry]] = {b"": []}
    gone = []
    for path, entry in members:
        folder, _, name = path.rpartition(b"/")
        if entry is None:
            gone.append(path)
        elif path == ROOT_NAME:
            inside[b""].append(entry._replace(name=ROOT_NAME, digest=""))
        elif folder not in inside:
            return None
        else:
            inside[folder].append(entry._replace(name=name))
            if entry.kind == DIRECTORY:
                inside[path] = []
    root = ""
    digests: dict[bytes, Digest] = {}
    # A directory comes before what it holds, so that backwards each is complete when its turn comes.
    for folder, entries in reversed(inside.items()):
        prefix = folder + b"/" if folder else b""
        whole = sorted(
            entry._replace(digest=digests[prefix + entry.name])
            if entry.kind == DIRECTORY and entry.name != ROOT_NAME
            else entry
            for entry in entries
        )
        body = encode(whole)
        root = digests[folder] = digest_of(body)
        if root not in directories:
            contents = [places[prefix + entry.name] for entry in whole if entry.kind == FILE and entry.size]
            directories[root] = Directory(body, contents)
    return packed(LayerIndex(tuple(frames), directories, root, tuple(gone)))


def packed(index: LayerIndex) -> bytes | None:
    """Return the frame of an index, None if it is too large."""
    parts = [_HEAD.pack(_NAME, len(index.frames), len(index.gone), len(index.directories))]
    parts += [struct.pack("<II", *frame) for frame in index.frames]
    for path in index.gone:
        parts += [struct.pack("<I", len(path)), path]
    for directory in index.directories.values():
        parts += [struct.pack("<II", len(directory.body), len(directory.places)), directory.body]
        parts.append(struct.pack(f"<{len(directory.places)}Q", *directory.places))
    plain = b"".join(parts)
    packed = ZstdCompressor(level=3, write_content_size=True).compress(plain)
    if len(plain) > MAX_PLAIN or len(packed) + 8 > MAX_PACKED:
        return None
    return struct.pack("<II", _MAGIC, len(packed)) + packed


def parse_place(text: str, size: int) -> IndexPlace | None:
    """Return where the annotation of a layer of so many bytes says that its index is, None if it says nothing that is
    understood."""
    said = _PLACE.fullmatch(text)
    if said is None or int(said.group(1)) != VERSION:
        return None
    place = IndexPlace(int(said.group(2)), int(said.group(3)), said.group(4))
    return place if place.length <= MAX_PACKED and place.offset + place.length <= size else None


def unpacked_size(frame: bytes) -> int:
    """Return how many bytes an index says that it unpacks to. Raises BadIndex."""
    try:
        return frame_content_size(frame[8:])
    except ZstdError as error:
        raise BadIndex(str(error)) from error


def read_index(frame: bytes, place: IndexPlace) -> LayerIndex:
    """Return what an index says that is the frame its descriptor means. Its numbers and the form of its directories
    as far as they lead to others are checked; the entries are not. Raises BadIndex."""
    try:
        magic, length = struct.unpack_from("<II", frame)
        if magic != _MAGIC or length != len(frame) - 8 or unpacked_size(frame) > MAX_PLAIN:
            raise BadIndex("it is no index")
        plain = ZstdDecompressor().decompress(frame[8:], allow_extra_data=False)
    except (struct.error, ZstdError) as error:
        raise BadIndex(str(error)) from error
    return parse_index(plain, place.offset)


def parse_index(plain: bytes, end: int) -> LayerIndex:
    """Return what an index says that was unpacked, of a blob whose frames end there. Raises BadIndex as `read_index`
    does."""
    try:
        index = _unpacked(plain)
    except (struct.error, ValueError) as error:
        raise BadIndex(str(error)) from error
    return index.replace(entries=_check(index, end))


def _unpacked(plain: bytes) -> LayerIndex:
    name, frame_count, gone_count, count = _HEAD.unpack_from(plain)
    at = _HEAD.size
    if name != _NAME or max(frame_count, gone_count, count) * 8 > 2 * len(plain):
        raise BadIndex("it is of another form")
    numbers = struct.unpack_from(f"<{2 * frame_count}I", plain, at)
    at += 8 * frame_count
    gone = []
    for _ in range(gone_count):
        (length,) = struct.unpack_from("<I", plain, at)
        gone.append(_cut(plain, at + 4, length))
        at += 4 + length
    directories = {}
    root = ""
    for _ in range(count):
        length, places = struct.unpack_from("<II", plain, at)
        body = _cut(plain, at + 8, length)
        at += 8 + length
        root = digest_of(body)
        directories[root] = Directory(body, array("Q", _cut(plain, at, 8 * places)))
        at += 8 * places
    if at != len(plain) or not directories:
        raise BadIndex("it is cut short, or goes on")
    return LayerIndex(tuple(zip(numbers[::2], numbers[1::2], strict=True)), directories, root, tuple(gone))


def _cut(plain: bytes, start: int, length: int) -> bytes:
    part = plain[start : start + length]
    if len(part) != length:
        raise BadIndex("it is cut short")
    return part


def check_entries(indexes: Iterable[LayerIndex]) -> None:
    """Raise BadIndex if the layers of an image have more entries together than a layer may have."""
    if sum(index.entries for index in indexes) > Limits().members:
        raise BadIndex("its layers have too many entries together")


def _check(index: LayerIndex, end: int) -> int:
    """Return how many entries the root unfolds to. Raises BadIndex for frames that lie elsewhere or are too large, and
    for directories that aren't there, lead in a circle, or are far more together than the layer holds: few that name
    each other twice make a tree of any size."""
    limits = Limits()
    if any(not 0 < packed <= MAX_FRAME or plain > MAX_FRAME for packed, plain in index.frames):
        raise BadIndex("it has a frame of a size that none has")
    packed, plain = index.starts[-1]
    if packed != end or plain > limits.total:
        raise BadIndex("its frames are not the blob's")
    if plain > FREE and plain > MAX_RATIO * packed:
        raise BadIndex("its frames unpack to far more than they hold")
    counted: dict[Digest, tuple[int, int, int]] = {}
    for digest, directory in index.directories.items():
        count, depth = directory.body.count(b"\0") // 2, 0
        size = sum(map(int, _SIZES.findall(directory.body)))
        for child in _CHILDREN.findall(directory.body):
            known = counted.get(child.decode())
            if known is None:
                raise BadIndex("a directory comes before one that it holds")
            count, depth, size = count + known[0], max(depth, known[1]), size + known[2]
        if count > limits.members or depth >= limits.depth or size > plain + MAX_UNWRITTEN:
            raise BadIndex("it is far larger than its layer")
        counted[digest] = count, depth + 1, size
    for path in index.gone:
        parts = path.split(b"/")
        if len(path) > limits.path or len(parts) > limits.depth or any(part in (b"", b".", b"..") for part in parts):
            raise BadIndex("it hides what can't be a path")
    return counted[index.root][0]
