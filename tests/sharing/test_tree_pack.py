"""Packs of trees: whoever has the digest gets the tree, from whomever the pack is, or nothing."""

from __future__ import annotations

import io
import struct
from collections.abc import Iterator
from hashlib import sha256
from pathlib import Path

import pytest
from zstandard import ZstdCompressor

from envbuild.sharing import tree_pack
from envbuild.sharing.pack_reader import take_contents, take_directories, wanted_of
from envbuild.sharing.tree_pack import (
    MAGIC,
    BadPack,
    Index,
    new_parts,
    pack_contents,
    pack_index,
    read_index,
    small_contents,
)
from envbuild.store.store import Store
from envbuild.tree.entry import DIRECTORY, FILE, LINK, Digest, Entry, encode
from tests.in_namespace import own

ROOT = Entry(b".", DIRECTORY, 0o755, 0, 0, 0)
EMPTY = sha256(b"").hexdigest()
X = sha256(b"x").hexdigest()


@pytest.fixture
def stores(tmp_path: Path) -> Iterator[list[Store]]:
    opened = [Store.open(str(tmp_path / name)) for name in ("one", "two")]
    for store in opened:
        store.owners_observable = False
    yield opened
    for store in opened:
        store.close()
    own(tmp_path)


def tree_of(store: Store, files: dict[str, bytes]) -> Digest:
    builder = store.builder()
    for path, content in files.items():
        builder.add(path.encode(), Entry(path.rpartition("/")[2].encode(), FILE, 0o644, 0, 0, 7), content)
    return builder.finish()


def take(store: Store, index: Index, tree: Digest, contents: bytes) -> None:
    """Takes all of a tree from one pack."""
    wanted = wanted_of(store, [index], tree)
    take_contents(store, index, wanted.files[0], io.BytesIO(contents))
    take_directories(store, wanted)


def test_a_tree_arrives_with_what_another_lacks_alone(stores: list[Store]):
    here, there = stores
    large = b"".join(bytes([number % 251]) * 1000 for number in range(3000))
    base = tree_of(here, {"a/x": b"1", "a/y": b"2", "b/z": b"3"})
    tree = tree_of(here, {"a/x": b"1", "a/y": b"changed", "b/z": b"3", "c/empty": b"", "c/large": large})
    assert tree_of(there, {"a/x": b"1", "a/y": b"2", "b/z": b"3"}) == base
    parts = new_parts(here.trees, base, tree)
    assert [(entry.name, entry.size) for entry in parts.files] == [(b"y", 7), (b"large", len(large))]
    index = read_index(pack_index(parts))
    assert len(index.directories) == 3  # the root, a and c
    blob = pack_contents(here, "k" * 64, parts, 2)
    take(there, index, tree, Path(blob.path).read_bytes())
    assert there.read_file(tree, "/c/large") == large
    assert there.read_file(tree, "/c/empty") == b""
    assert there.read_file(tree, "/a/y") == b"changed"
    assert not wanted_of(there, [index], tree).files


def test_equal_trees_give_equal_bytes(stores: list[Store]):
    made = []
    for store in stores:
        files = {f"d{number}/f": b"%d" % number for number in range(30)}
        parts = new_parts(store.trees, "", tree_of(store, files))
        made.append((pack_index(parts), pack_contents(store, "k" * 64, parts, 1 + len(made)).digest))
    assert made[0] == made[1]


def test_what_is_only_called_otherwise_arrives_in_both_forms(stores: list[Store]):
    here, there = stores
    builder = here.builder()
    for name, mode in ((b"a", 0o644), (b"b", 0o755)):
        builder.add(name, Entry(name, FILE, mode, 0, 0, 7), b"same")
    tree = builder.finish()
    parts = new_parts(here.trees, "", tree)
    index, contents = read_index(pack_index(parts)), small_contents(here, parts)
    assert len(index.contents) == 1
    take(there, index, tree, contents)
    assert there.read_file(tree, "/a") == there.read_file(tree, "/b") == b"same"


@pytest.mark.parametrize(
    "contents",
    [b"", b"1", b"22", ZstdCompressor().compress(b"x" * 100), b"\x28\xb5\x2f\xfd" + b"x" * 50],
    ids=["empty", "short", "other", "more", "damaged"],
)
def test_contents_of_others_are_refused_and_the_tree_is_not_there(stores: list[Store], contents: bytes):
    here, there = stores
    tree = tree_of(here, {"x": b"1", "y": b"2"})
    index = read_index(pack_index(new_parts(here.trees, "", tree)))
    with pytest.raises(BadPack):
        take(there, index, tree, contents)
    assert not there.trees.has(tree)


EVIL = {
    "up": Entry(b"..", LINK, 0o777, 0, 0, 0, target=b"x"),
    "inside": Entry(b"a/b", LINK, 0o777, 0, 0, 0, target=b"x"),
    "long": Entry(b"a" * 256, LINK, 0o777, 0, 0, 0, target=b"x"),
    "nowhere": Entry(b"a", LINK, 0o777, 0, 0, 0),
    "whiteout": Entry(b"a", "c", 0o644, 0, 0, 0, target=b"0:0"),
    "device": Entry(b"a", "b", 0o644, 0, 0, 0, target=b"../x"),
    "overlay": Entry(b"a", DIRECTORY, 0o755, 0, 0, 0, digest=EMPTY, xattrs=((b"user.overlay.opaque", b"y"),)),
    "trusted": Entry(b"a", DIRECTORY, 0o755, 0, 0, 0, digest=EMPTY, xattrs=((b"trusted.x", b"y"),)),
    "size": Entry(b"a", FILE, 0o644, 0, 0, 0, 0, X),
    "size of a link": Entry(b"a", LINK, 0o777, 0, 0, 0, 5, target=b"x"),
    "digest": Entry(b"a", DIRECTORY, 0o755, 0, 0, 0, digest="../../../etc/passwd"),
    "file without a digest": Entry(b"a", FILE, 0o644, 0, 0, 0, 5),
    "mode": Entry(b"a", LINK, 0o170777, 0, 0, 0, target=b"x"),
    "owner": Entry(b"a", LINK, 0o777, 1 << 32, 0, 0, target=b"x"),
}


@pytest.mark.parametrize("entry", EVIL.values(), ids=EVIL.keys())
def test_a_directory_that_no_tree_has_is_refused(entry: Entry):
    with pytest.raises(BadPack):
        read_index(_index(encode([ROOT, entry])))


@pytest.mark.parametrize(
    "body",
    [
        encode([ROOT]) * 2,
        encode([ROOT]).replace(b" 755 ", b" 0755 "),
        encode([Entry(b"b", LINK, 0o777, 0, 0, 0, target=b"x")])
        + encode([Entry(b"a", LINK, 0o777, 0, 0, 0, target=b"x")]),
        b"d 755",
        b"\xff" * 30,
    ],
    ids=["twice", "octal", "order", "short", "bytes"],
)
def test_a_directory_that_is_not_in_its_one_form_is_refused(body: bytes):
    with pytest.raises(BadPack):
        read_index(_index(body))


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"another magic",
        MAGIC,
        MAGIC + struct.pack(">II", 1 << 31, 1 << 31),
        MAGIC + struct.pack(">II", 0, 1) + bytes(39),
        MAGIC + struct.pack(">II", 0, 1) + bytes(40),
        MAGIC + struct.pack(">III", 1, 0, 0xFFFFFFFF),
    ],
    ids=["empty", "magic", "short", "counts", "contents", "size", "length"],
)
def test_an_index_that_lies_is_refused(data: bytes):
    with pytest.raises(BadPack):
        read_index(ZstdCompressor().compress(data))


def test_a_bomb_is_refused(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(tree_pack, "MAX_INDEX", 1 << 20)
    with pytest.raises(BadPack, match="its index has more than 1,048,576 bytes"):
        read_index(ZstdCompressor().compress(MAGIC + bytes(1 << 20)))


@pytest.mark.parametrize("packed", [b"", b"x", b"\x28\xb5\x2f\xfd\x00"])
def test_what_is_no_index_is_refused(packed: bytes):
    with pytest.raises(BadPack):
        read_index(packed)


def test_a_tree_that_is_too_deep_lacks_something_or_has_two_roots_is_refused(stores: list[Store]):
    store = stores[0]
    body, bodies = b"", [b""]
    for _ in range(400):
        body = encode([Entry(b"a", DIRECTORY, 0o755, 0, 0, 0, digest=sha256(body).hexdigest())])
        bodies.append(body)
    deep = encode([ROOT, Entry(b"a", DIRECTORY, 0o755, 0, 0, 0, digest=sha256(body).hexdigest())])
    lacking = encode([ROOT, Entry(b"a", FILE, 0o755, 0, 0, 0, 1, X)])
    below = encode([ROOT, Entry(b"a", DIRECTORY, 0o755, 0, 0, 0, digest=sha256(encode([ROOT])).hexdigest())])
    for body, others in ((deep, bodies), (lacking, []), (below, [encode([ROOT])]), (b"", [])):
        index: Index = read_index(_index(body, *others))
        with pytest.raises(BadPack):
            wanted_of(store, [index], sha256(body).hexdigest())


def _index(*bodies: bytes) -> bytes:
    data = MAGIC + struct.pack(">II", len(bodies), 0)
    data += b"".join(struct.pack(">I", len(body)) for body in bodies) + b"".join(bodies)
    return ZstdCompressor().compress(data)
