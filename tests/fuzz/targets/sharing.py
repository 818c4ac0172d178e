"""What registries send beside archives of images: indexes of layers, and the records and packs of shared caches."""

from __future__ import annotations

import struct

from zstandard import ZstdCompressor

from envbuild.oci.layer_index import BadIndex, parse_index
from envbuild.oci.manifest import BadImage
from envbuild.sharing.frame_contents import Content, LayerContents
from envbuild.sharing.layer_directories import LayerDirectories
from envbuild.sharing.shared_step import manifest_of_chain, read_records
from envbuild.sharing.tree_pack import MAGIC, BadPack, read_index
from envbuild.tree.entry import FILE, Digest, Entry
from tests.fuzz.target import Target


class _NoTrees:
    """A store that has nothing."""

    def has(self, _: Digest) -> bool:
        return False


def _end(plain: bytes) -> int:
    """Where the blob's frames end by what the index says of them: else hardly an input got past that."""
    try:
        (count,) = struct.unpack_from("<8xI", plain)
        return sum(struct.unpack_from(f"<{2 * count}I", plain, 20)[::2]) if count < 1000 else 0
    except struct.error:
        return 0


def _index(plain: bytes) -> None:
    index = parse_index(plain, _end(plain))
    directories = LayerDirectories(_NoTrees(), [index, index])  # type: ignore[arg-type]
    tree = directories.image()
    files: dict[Digest, list[Entry]] = {}
    for _, listed in directories.new(tree).values():
        for entry in listed:
            assert b"/" not in entry.name
            assert entry.name not in (b"", b"..")
            if entry.kind == FILE and entry.size:
                files.setdefault(entry.digest, []).append(entry)
    contents = [Content(directories.place_of(digest).start, tuple(entries)) for digest, entries in files.items()]
    layer = LayerContents(index, contents)
    for run in layer.runs():
        start, end = layer.bounds(run)
        assert 0 <= start < end <= _end(plain)


def _records(manifest: bytes) -> None:
    steps = [step.replace(seconds=round(step.seconds, 3)) for step in read_records(manifest, "x")]
    # A chain may be cut where it gets too long, and has its beginning then.
    again = read_records(manifest_of_chain(steps), "x") if steps else []
    assert again == steps[: len(again)]


def _pack(plain: bytes) -> None:
    index = read_index(ZstdCompressor(level=1).compress(plain))
    for listed in index.directories.values():
        for entry in listed:
            assert b"/" not in entry.name
            assert entry.name not in (b"", b"..")
    assert all(size >= 0 for _, size in index.contents)


TARGETS = [
    Target("layer-index", _index, (BadIndex,), (b"EBINDEX1", b"d 755 0 0 0 0 - ", b"f 644 0 0 0 5 - ", b"\0")),
    Target("cache-records", _records, (BadImage,), (b'"key"', b'"tree"', b"null", b"0" * 64, b"[[", b"1e999")),
    Target("cache-pack", _pack, (BadPack,), (MAGIC, b"d 755 0 0 0 0 - ", b"f 644 0 0 0 5 - ", b"\0")),
]
