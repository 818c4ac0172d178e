"""The index of a layer: what is put into it comes out, and what can't be is refused."""

from __future__ import annotations

import struct
from hashlib import sha256

import pytest

from envbuild.oci.layer_groups import Members
from envbuild.oci.layer_index import (
    MAX_PLAIN,
    BadIndex,
    Directory,
    IndexPlace,
    LayerIndex,
    check_entries,
    index_of,
    packed,
    parse_place,
    read_index,
)
from envbuild.tree.entry import DIRECTORY, FILE, LINK, ROOT_NAME, Entry, decode, digest_of, encode

CONTENT = "1" * 64
FRAMES = ((100, 400), (50, 600))
MEMBERS: Members = (
    (ROOT_NAME, Entry(ROOT_NAME, DIRECTORY, 0o755, 0, 0, 5)),
    (b"a", Entry(b"a", DIRECTORY, 0o700, 1, 2, 3)),
    (b"a/b", Entry(b"b", DIRECTORY, 0o755, 0, 0, 0)),
    (b"a/b/large", Entry(b"large", FILE, 0o644, 0, 0, 7, 300, CONTENT, xattrs=((b"user.x", b"y"),))),
    (b"a/gone", None),
    (b"a/link", Entry(b"link", LINK, 0o777, 0, 0, 0, target=b"b")),
    (b"small", Entry(b"small", FILE, 0o4755, 0, 0, 9, 20, "2" * 64)),
)
PLACES = {b"a/b/large": 512, b"small": 900}


def read(frame: bytes | None, frames: tuple[tuple[int, int], ...] = FRAMES) -> LayerIndex:
    assert frame is not None
    offset = sum(size for size, _ in frames)
    return read_index(frame, IndexPlace(offset, len(frame), f"sha256:{sha256(frame).hexdigest()}"))


def test_what_is_put_in_comes_out():
    index = read(index_of(MEMBERS, PLACES, FRAMES))
    assert (index.frames, index.gone) == (FRAMES, (b"a/gone",))
    assert index.starts == [(0, 0), (100, 400), (150, 1000)]
    top = index.directories[index.root]
    entries = {entry.name: entry for entry in decode(top.body)}
    assert list(entries) == [ROOT_NAME, b"a", b"small"]
    assert list(top.places) == [900]
    inner = decode(index.directories[entries[b"a"].digest].body)
    assert [(entry.name, entry.kind) for entry in inner] == [(b"b", DIRECTORY), (b"link", LINK)]
    assert list(index.directories[inner[0].digest].places) == [512]


def test_the_same_layer_has_the_same_index():
    assert index_of(MEMBERS, PLACES, FRAMES) == index_of(MEMBERS, PLACES, FRAMES)


def test_a_layer_that_lacks_directories_has_none():
    assert index_of(MEMBERS[3:], PLACES, FRAMES) is None


def test_an_annotation_says_where_the_index_is():
    place = IndexPlace(10, 20, f"sha256:{CONTENT}")
    assert parse_place(place.text, 30) == place
    for text, size in ((place.text, 29), (f"2{place.text[1:]}", 30), (place.text + " ", 30), ("", 30), ("1 1 1 x", 30)):
        assert parse_place(text, size) is None


def other(index: LayerIndex, **changed: object) -> bytes:
    frame = packed(index.replace(**changed))
    assert frame is not None
    return frame


def test_numbers_that_are_not_so_are_refused():
    index = read(index_of(MEMBERS, PLACES, FRAMES))
    for frames in (FRAMES[:1], (*FRAMES, (0, 5)), ((150, 1 << 30),), ((150, 100),)):
        size = sum(packed for packed, _ in frames) if frames[-1] != FRAMES[0] else 150
        changed = other(index, frames=frames)
        if frames == ((150, 100),):
            read(changed, frames)  # contents behind its end are told when they are wanted
            continue
        with pytest.raises(BadIndex):
            read_index(changed, IndexPlace(size, len(changed), ""))


def test_directories_that_are_far_more_than_they_say_are_refused():
    def doubled(count: int) -> LayerIndex:
        body = encode([Entry(b"f", FILE, 0o644, 0, 0, 0, 1, CONTENT)])
        directories = {digest_of(body): Directory(body, [0])}
        for _ in range(count):
            child = digest_of(body)
            body = encode([Entry(name, DIRECTORY, 0o755, 0, 0, 0, 0, child) for name in (b"a", b"b")])
            directories[digest_of(body)] = Directory(body, [])
        return LayerIndex(FRAMES, directories, digest_of(body), ())

    index = read(packed(doubled(10)))
    assert index.entries == 3 * 2**10 - 2
    check_entries([index] * 600)
    with pytest.raises(BadIndex, match="together"):
        check_entries([index] * 700)
    with pytest.raises(BadIndex, match="far larger"):
        read(packed(doubled(25)))
    with pytest.raises(BadIndex, match="far larger"):
        read(packed(doubled(300)))


def test_sizes_that_the_layer_has_not_are_refused():
    body = encode([Entry(b"f", FILE, 0o644, 0, 0, -5, 1 << 40, CONTENT)])
    with pytest.raises(BadIndex, match="far larger"):
        read(packed(LayerIndex(FRAMES, {digest_of(body): Directory(body, [0])}, digest_of(body), ())))


def test_frames_that_unpack_to_far_more_than_they_hold_are_refused():
    frames = ((300, 8 << 20),) * 1000
    index = read(index_of(MEMBERS, PLACES, FRAMES))
    with pytest.raises(BadIndex, match="far more than they hold"):
        read(other(index, frames=frames), frames)


def test_an_index_that_unpacks_to_too_much_is_refused():
    from zstandard import ZstdCompressor

    bomb = ZstdCompressor(write_content_size=True).compress(bytes(MAX_PLAIN + 1))
    for content in (bomb, bomb[:20], b"", b"plain"):
        with pytest.raises(BadIndex):
            read(struct.pack("<II", 0x184D2A5C, len(content)) + content)
