"""Layers as archives: Python's own reader finds in them what the entries say, and the bytes never change."""

from __future__ import annotations

import io
import tarfile

import pytest
from hypothesis import given
from hypothesis import strategies as st

from envbuild.archive.tar import TarReader
from envbuild.oci.layer_tar import END, NotInLayers, header_of, padding, whiteout_of
from envbuild.tree.entry import CHARACTER_DEVICE, DIRECTORY, FIFO, FILE, LINK, ROOT_NAME, Entry

NAMES = st.binary(min_size=1, max_size=200).filter(
    lambda name: not set(name) & set(b"/\0") and name not in (b".", b"..") and not name.startswith(b".wh.")
)
ENTRIES = st.builds(
    lambda name, mode, uid, gid, mtime, content: (
        Entry(name, FILE, mode, uid, gid, mtime, len(content)),
        content,
    ),
    NAMES,
    st.integers(0, 0o7777),
    st.integers(0, 2**32 - 2),
    st.integers(0, 2**32 - 2),
    st.integers(0, 2**33 * 10**9),
    st.binary(max_size=2000),
)


def archive(*members: tuple[bytes, Entry, bytes]) -> bytes:
    return b"".join(header_of(path, entry) + content + padding(len(content)) for path, entry, content in members) + END


@given(st.lists(NAMES, max_size=3), ENTRIES)
def test_a_file_is_read_back_as_it_was(folders: list[bytes], file: tuple[Entry, bytes]):
    entry, content = file
    path = b"/".join([*folders, entry.name])
    reader = TarReader(Plain(archive((path, entry, content))), "layer")
    (member,) = [(m, reader.read(1 << 20)) for m in reader.members()]
    assert member[0].path == path
    assert (member[0].mode, member[0].uid, member[0].gid, member[0].mtime) == (
        entry.mode,
        entry.uid,
        entry.gid,
        entry.mtime,
    )
    assert member[1] == content


def test_pythons_reader_understands_it():
    long = b"/".join([b"a" * 60] * 4)
    content = archive(
        (ROOT_NAME, Entry(ROOT_NAME, DIRECTORY, 0o755, 0, 0, 0), b""),
        (b"usr", Entry(b"usr", DIRECTORY, 0o1777, 3, 4, 5 * 10**9), b""),
        (long, Entry(b"a", FILE, 0o4755, 3_000_000, 7, 1_600_000_000_250_000_000, 3), b"abc"),
        (b"l", Entry(b"l", LINK, 0o777, 0, 0, 0, target=b"t" * 300), b""),
        (b"null", Entry(b"null", CHARACTER_DEVICE, 0o666, 0, 0, 0, target=b"1:3"), b""),
        (b"p", Entry(b"p", FIFO, 0o600, 0, 0, 0), b""),
        (b"x", Entry(b"x", FILE, 0o644, 0, 0, 0, 1, xattrs=((b"user.a", b"\0\n1"),)), b"x"),
    )
    with tarfile.open(fileobj=io.BytesIO(content)) as read:
        members = {member.name: member for member in read.getmembers()}
        assert read.extractfile(long.decode()).read() == b"abc"
    assert members["usr"].isdir()
    assert members["usr"].mode == 0o1777
    assert (members[long.decode()].uid, members[long.decode()].mtime) == (3_000_000, 1_600_000_000.25)
    assert members["l"].linkname == "t" * 300
    assert (members["null"].devmajor, members["null"].devminor) == (1, 3)
    assert members["p"].isfifo()
    assert members["x"].pax_headers["SCHILY.xattr.user.a"] == "\0\n1"


def test_the_bytes_are_a_promise():
    """Digests of layers are names in registries: another form would send all of them again."""
    from hashlib import sha256

    entry = Entry(b"f", FILE, 0o640, 1000, 3_000_000, 1_600_000_000_000_000_001, 2, xattrs=((b"user.k", b"v"),))
    content = archive((b"d/" + b"n" * 120, entry, b"hi")) + whiteout_of(b"d/gone")
    assert sha256(content).hexdigest() == "28856caa90f2723ee5d5c041421ee256076014febc3d15e5ef3185618fe34b92"


@pytest.mark.parametrize(
    ("path", "entry", "words"),
    [
        (b"etc/.wh.x", Entry(b".wh.x", FILE, 0o644, 0, 0, 0), "begins with .wh."),
        (b"x", Entry(b"x", FILE, 0o644, 0, 0, 0, xattrs=((b"user.a=b", b""),)), "has a ="),
    ],
)
def test_what_layers_can_not_say_is_refused(path: bytes, entry: Entry, words: str):
    with pytest.raises(NotInLayers) as refused:
        header_of(path, entry)
    assert words in refused.value.message


class Plain:
    """Bytes that are read from the start."""

    verified = False

    def __init__(self, content: bytes) -> None:
        self._file = io.BytesIO(content)

    def read(self, size: int) -> bytes:
        return self._file.read(size)
