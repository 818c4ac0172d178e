"""Archives that are damaged or mean harm: each is refused with a reason, the member and the place."""

from __future__ import annotations

import gzip
import lzma

import pytest

from envbuild.archive.limits import ArchiveError, Limits
from envbuild.bases.tarball import prepare_tar
from tests.bases.tar_bytes import END, body, file, gnu_long, header, pax, record
from tests.bases.targets import in_memory

SPARSE = (record(b"GNU.sparse.major", b"1"), record(b"GNU.sparse.minor", b"0"))
HOSTILE = {
    # what is wrong: (the archive, what the message says)
    "nothing at all": (b"", "empty"),
    "a text": (b"hello, world\n" * 100, "checksum is wrong"),
    "half a header": (header()[:300], "ends in the middle of a header"),
    "a changed byte in a header": (header().replace(b"file", b"fild") + END, "checksum is wrong"),
    "a checksum that is not a number": (header(checksum=b"zzzzzzzz") + END, "checksum is wrong"),
    "a file that is cut short": (header(size=5000) + bytes(512), "ends in the middle of a file"),
    "a file without its padding": (header(size=5) + b"hello", "ends in the middle of a block"),
    "no closing blocks": (file(data=b"x"), "cut short"),
    "a PAX header with nothing after it": (pax(record(b"path", b"a")) + bytes(512), "cut short"),
    "a path that leads out": (file(b"../etc/passwd") + END, "leads out"),
    "a path that leads out in the middle": (file(b"a/../../etc/passwd") + END, "leads out"),
    "a PAX path that leads out": (pax(record(b"path", b"a/../..")) + file() + END, "leads out"),
    "a GNU long name that leads out": (gnu_long(b"a/" * 60 + b"../x") + file() + END, "leads out"),
    "a prefix that leads out": (file(b"passwd", rest=b"../etc") + END, "leads out"),
    "a hard link that leads out": (header(b"x", b"1", link=b"../../etc/shadow") + END, "leads out"),
    "a hard link to an absolute path that is not in it": (header(b"x", b"1", link=b"/etc/shadow") + END, "hard link"),
    "a hard link to what comes later": (header(b"x", b"1", link=b"y") + file(b"y") + END, "hard link"),
    "a hard link to itself": (header(b"x", b"1", link=b"x") + END, "hard link"),
    "a hard link to a directory": (header(b"d", b"5") + header(b"x", b"1", link=b"d") + END, "hard link"),
    "a link to nowhere": (header(b"x", b"2") + END, "leads nowhere"),
    "a link with an endless target": (pax(record(b"linkpath", b"a/" * 4000)) + header(b"x", b"2") + END, "too long"),
    "a name with a NUL byte": (pax(record(b"path", b"a\0b")) + file() + END, "NUL byte"),
    "a name of 256 bytes": (pax(record(b"path", b"n" * 256)) + file() + END, "too long or too deep"),
    "a path of 400 folders": (pax(record(b"path", b"d/" * 400)) + file() + END, "too long or too deep"),
    "a path of 8000 bytes": (pax(record(b"path", (b"d" * 200 + b"/") * 40)) + file() + END, "too long or too deep"),
    "a whiteout of overlayfs": (header(b"x", b"3") + END, "0:0"),
    "attributes of overlayfs": (
        pax(record(b"SCHILY.xattr.user.overlay.opaque", b"y")) + header(b"d", b"5") + END,
        "belongs to overlayfs",
    ),
    "trusted attributes": (
        pax(record(b"SCHILY.xattr.trusted.overlay.redirect", b"/etc")) + header(b"d", b"5") + END,
        "belongs to overlayfs",
    ),
    "an attribute of 70,000 bytes": (pax(record(b"SCHILY.xattr.user.a", b"y" * 70_000)) + file() + END, "too long"),
    "a socket or worse": (header(b"x", b"s") + END, "unknown type"),
    "a root that is a file": (file(b"./", kind=b"1", link=b"x") + END, "root"),
    "a root that is a link": (header(b"/", b"2", link=b"/etc") + END, "root"),
    "a size that is not a number": (header(size=b"12z45678901") + END, "not a number"),
    "a negative size": (header(size=b"\xff" * 12) + END, "more than the limit"),
    "a size of 2^90": (header(size=b"\x80" + b"\xff" * 11) + END, "more than the limit"),
    "a PAX size that is not a number": (pax(record(b"size", b"-5")) + file() + END, "not a number"),
    "a PAX header of a gigabyte": (header(kind=b"x", size=1 << 30) + END, "a header of 1073741824 bytes"),
    "a long name of a gigabyte": (header(kind=b"L", size=1 << 30) + END, "a header of 1073741824 bytes"),
    "a PAX record that is longer than its header": (pax(b"99 path=a\n") + file() + END, "wrong length"),
    "a PAX record of length 0": (pax(b"0 path=a\n") + file() + END, "wrong length"),
    "a PAX record without a length": (pax(b"path=a\n") + file() + END, "without a length"),
    "a PAX record without a value": (pax(b"7 path\n") + file() + END, "without a value"),
    "PAX headers of one member without end": (
        b"".join(pax(record(b"k%d" % number, b"v" * 60_000)) for number in range(20)) + file() + END,
        "too many headers for one member",
    ),
    "long names of one member without end": (gnu_long(b"n" * 200_000) * 6 + file() + END, "too many headers for one"),
    "PAX headers for all members without end": (
        b"".join(pax(record(b"k%d" % number, b"v" * 30_000), kind=b"g") for number in range(3)) + file() + END,
        "too many headers for all",
    ),
    "many PAX records for all members": (
        pax(*(record(b"k%d" % number, b"v") for number in range(200)), kind=b"g") + file() + END,
        "too many headers for all",
    ),
    "a time that is not one": (pax(record(b"mtime", b"noon")) + file() + END, "not a time"),
    "a time in the year 3000": (pax(record(b"mtime", b"32503680000")) + file() + END, "not a time"),
    "a user of number 2^32 - 1": (pax(record(b"uid", b"4294967295")) + file() + END, "an impossible uid"),
    "a negative group": (header(gid=b"\xff" * 8) + END, "an impossible gid"),
    "a map of holes that overlaps": (
        pax(record(b"GNU.sparse.size", b"100"), record(b"GNU.sparse.map", b"0,50,40,50")) + file(data=b"x" * 100) + END,
        "makes no sense",
    ),
    "a map of holes beyond the end": (
        pax(record(b"GNU.sparse.size", b"100"), record(b"GNU.sparse.map", b"90,50")) + file(data=b"x" * 50) + END,
        "makes no sense",
    ),
    "a map of holes for more than there is": (
        pax(record(b"GNU.sparse.size", b"9000"), record(b"GNU.sparse.map", b"0,8000")) + file(data=b"x") + END,
        "more than the archive holds",
    ),
    "a map of holes that is not a list of numbers": (
        pax(record(b"GNU.sparse.size", b"9"), record(b"GNU.sparse.map", b"0,-1")) + file(data=b"x") + END,
        "not a list of numbers",
    ),
    "a map of holes in the content that is not one": (
        pax(*SPARSE, record(b"GNU.sparse.realsize", b"9")) + file(data=b"two\n") + END,
        "not a list of numbers",
    ),
    "a map of a billion holes": (
        pax(*SPARSE, record(b"GNU.sparse.realsize", b"9")) + file(data=b"1000000000\n") + END,
        "too long",
    ),
    "a file of holes": (
        pax(*SPARSE, record(b"GNU.sparse.realsize", b"%d" % (40 << 30))) + file(data=body(b"0\n")) + END,
        "does not hold",
    ),
    "an old map of holes that goes on for ever": (
        header(kind=b"S", size=0, magic=b"ustar  \0", rest=bytes(137) + b"\1") + (bytes(504) + b"\1" + bytes(7)) * 2100,
        "does not end",
    ),
    "gzip that is cut short": (gzip.compress(file(data=b"x" * 99) + END)[:-30], "damaged"),
    "gzip with a wrong checksum": (gzip.compress(file() + END)[:-8] + b"\1" * 8, "damaged"),
    "xz that is cut short": (lzma.compress(file() + END)[:-20], "damaged"),
    "gzip of noise": (b"\x1f\x8b" + b"noise" * 100, "damaged"),
    "zstd of noise": (b"\x28\xb5\x2f\xfd" + b"noise" * 100, "damaged"),
    "bzip2 of noise": (b"BZh9" + b"noise" * 100, "damaged"),
}


@pytest.mark.parametrize("what", HOSTILE)
def test_it_is_refused_with_the_reason_and_the_place(what, tmp_path):
    archive, reason = HOSTILE[what]
    (tmp_path / "bad.tar").write_bytes(archive)
    with pytest.raises(ArchiveError) as caught:
        in_memory(prepare_tar(str(tmp_path / "bad.tar")))
    assert reason in caught.value.message
    assert caught.value.message.startswith("bad.tar: ") or str(tmp_path) in caught.value.message
    assert "at byte " in caught.value.message
    assert caught.value.exit_code == 2


def test_the_message_names_the_member(tmp_path):
    (tmp_path / "bad.tar").write_bytes(file(b"good") + file(b"a/../b\xff") + END)
    with pytest.raises(ArchiveError, match=r"at byte 512, member 'a/\.\./b\\xff'"):
        prepare_tar(str(tmp_path / "bad.tar"))


@pytest.mark.parametrize(
    ("limits", "reason"),
    [
        (Limits(members=2), "more than 2 members"),
        (Limits(size=10), "more than the limit"),
        (Limits(total=150), "more than 150 bytes in all"),
        (Limits(depth=1), "too deep"),
        (Limits(path=5), "too long"),
    ],
)
def test_limits(limits, reason, tmp_path):
    content = file(b"a/one", b"x" * 100) + file(b"a/two", b"x" * 99) + file(b"b/three")
    (tmp_path / "big.tar").write_bytes(content + END)
    assert prepare_tar(str(tmp_path / "big.tar")).epoch == 0o100
    with pytest.raises(ArchiveError, match=reason):
        prepare_tar(str(tmp_path / "big.tar"), limits)


def test_a_bomb_of_zeros_is_refused_before_it_is_unpacked(tmp_path):
    zeros = lzma.compress(bytes(1 << 24), preset=0)
    (tmp_path / "bomb.tar.xz").write_bytes(lzma.compress(header(size=1 << 34)) + zeros * 128)
    with pytest.raises(ArchiveError, match="far more than it holds"):
        prepare_tar(str(tmp_path / "bomb.tar.xz"))


@pytest.mark.user
def test_a_missing_archive_is_an_error_of_the_user(tmp_path):
    with pytest.raises(ArchiveError, match="No such file"):
        prepare_tar(str(tmp_path / "none.tar"))


@pytest.mark.user
def test_nothing_is_written_outside_through_a_link(tmp_path):
    """A link and then a file `through` it: in a tree there is nothing to follow, the path is just a path."""
    (tmp_path / "link.tar").write_bytes(header(b"a", b"2", link=b"/etc") + file(b"a/passwd", b"mine") + END)
    memory = in_memory(prepare_tar(str(tmp_path / "link.tar")))
    assert memory.text("a/passwd") == "mine"
