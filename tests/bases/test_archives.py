"""Archives as GNU tar, Python and others write them, read as trees."""

from __future__ import annotations

import bz2
import gzip
import io
import lzma
import os
import shutil
import subprocess
import tarfile

import pytest
import zstandard

from envbuild.bases.tarball import prepare_tar, write_archive
from envbuild.tree.entry import DIRECTORY
from tests.bases.tar_bytes import END, body, file, gnu_long, header, pax, record
from tests.bases.targets import Memory, in_memory


@pytest.fixture
def read(tmp_path):
    def read(content: bytes) -> Memory:
        (tmp_path / "a.tar").write_bytes(content)
        return in_memory(prepare_tar(str(tmp_path / "a.tar")))

    return read


@pytest.mark.parametrize("form", ["ustar", "pax", "gnu", "oldgnu", "v7"])
def test_what_gnu_tar_packs_is_what_is_read(form, tmp_path, read):
    if shutil.which("tar") is None:
        pytest.skip("tar is not installed")
    folder = tmp_path / "root"
    (folder / "etc").mkdir(parents=True)
    (folder / "etc" / "passwd").write_text("root:x:0:0\n")
    (folder / "etc" / "shadow").write_text("secret")
    (folder / "etc" / "shadow").chmod(0o4640)
    (folder / "etc" / "mtab").symlink_to("/proc/mounts")
    (folder / "etc" / "empty").touch()
    os.link(folder / "etc" / "passwd", folder / "same")
    for path in folder.rglob("*"):
        os.utime(path, (1_000_000, 1_000_000), follow_symlinks=False)
    words = [
        "tar",
        f"--format={form}",
        "--owner=7",
        "--group=42",
        "--numeric-owner",
        "-C",
        str(folder),
        "-cf",
        "-",
        ".",
    ]
    tree = read(subprocess.run(words, check=True, capture_output=True).stdout)
    assert sorted(tree.entries) == [
        b"",
        b"etc",
        b"etc/empty",
        b"etc/mtab",
        b"etc/passwd",
        b"etc/shadow",
        b"same",
    ]
    assert tree.text("etc/passwd") == tree.text("same") == "root:x:0:0\n"
    shadow = tree.entries[b"etc/shadow"]
    assert (shadow.mode, shadow.uid, shadow.gid, shadow.mtime) == (0o4640, 7, 42, 1_000_000 * 10**9)
    assert tree.entries[b"etc/mtab"].target == b"/proc/mounts"
    assert tree.entries[b"etc"].kind == DIRECTORY
    assert tree.links, "the second name of a file is a link to the first"


@pytest.mark.parametrize("version", ["gnu", "0.0", "0.1", "1.0"])
def test_files_with_holes(version, tmp_path, read):
    if shutil.which("tar") is None:
        pytest.skip("tar is not installed")
    with open(tmp_path / "holes", "wb") as holes:
        for number in range(40):
            holes.seek(number * 100_000)
            holes.write(b"%d" % number * 3000)
        holes.truncate(5_000_000)
    form = ["--format=gnu"] if version == "gnu" else ["--format=pax", f"--sparse-version={version}"]
    words = ["tar", *form, "--sparse", "--hole-detection=raw", "-C", str(tmp_path), "-cf", "-", "holes"]
    archive = subprocess.run(words, check=True, capture_output=True).stdout
    assert len(archive) < 1_000_000
    assert read(archive).contents == {b"holes": (tmp_path / "holes").read_bytes()}


def test_long_names_in_each_form(read):
    long = b"d" * 150 + b"/" + b"f" * 200
    assert long in read(gnu_long(long) + file() + END).entries
    assert long in read(pax(record(b"path", long)) + file() + END).entries
    assert b"p/" * 40 + b"x" in read(file(b"x", rest=b"p/" * 39 + b"p") + END).entries
    target = b"../" + b"t" * 300
    tree = read(gnu_long(target, b"K") + gnu_long(long) + header(b"short", b"2", link=b"cut") + END)
    assert tree.entries[long].target == target


def test_gnu_magic_has_no_prefix(read):
    """GNU's header has other things where ustar has the prefix, such as times of access."""
    tree = read(file(b"x", magic=b"ustar  \0", rest=b"00000000100\x0000000000100") + END)
    assert list(tree.entries) == [b"", b"x"]


def test_large_numbers_in_base_256(read):
    uid = b"\x80" + (3_000_000).to_bytes(7, "big")
    time = b"\x80" + (2**33 - 1).to_bytes(11, "big")
    entry = read(file(uid=uid, mtime=time) + END).entries[b"file"]
    assert (entry.uid, entry.mtime) == (3_000_000, (2**33 - 1) * 10**9)
    assert read(file(mtime=b"\xff" * 12) + END).entries[b"file"].mtime == 0


def test_pax_settings_of_one_file_and_of_all(read):
    archive = (
        pax(record(b"uid", b"70000"), record(b"mtime", b"12.345"), kind=b"g")
        + file(b"a")
        + pax(record(b"uid", b"80000"), record(b"mtime", b"13.5"))
        + file(b"b")
        + file(b"c")
    )
    tree = read(archive + END)
    assert [tree.entries[name].uid for name in (b"a", b"b", b"c")] == [70000, 80000, 70000]
    # The base's date is the newest member's in whole seconds, and nothing in it is later.
    assert [tree.entries[name].mtime for name in (b"a", b"b", b"c")] == [12_345_000_000, 13 * 10**9, 12_345_000_000]


def test_attributes(read):
    capability = bytes.fromhex("0100000200040000000000000000000000000000")
    tree = read(
        pax(record(b"SCHILY.xattr.security.capability", capability), record(b"SCHILY.xattr.user.note", b"a\0b"))
        + file(b"ping")
        + pax(record(b"SCHILY.xattr.security.selinux", b"of the machine"))
        + file(b"plain")
        + pax(record(b"SCHILY.xattr.user.note", b"links have none"))
        + header(b"link", b"2", link=b"x")
        + END
    )
    assert tree.entries[b"ping"].xattrs == ((b"security.capability", capability), (b"user.note", b"a\0b"))
    assert tree.entries[b"plain"].xattrs == tree.entries[b"link"].xattrs == ()


def test_devices_and_fifos(read):
    tree = read(
        header(b"dev/null", b"3", major=b"0000001", minor=b"0000003")
        + header(b"srv/null", b"3", major=b"0000001", minor=b"0000003")
        + header(b"srv/disk", b"4", major=b"0000010", minor=b"0000001")
        + header(b"srv/pipe", b"6")
        + END
    )
    assert b"dev/null" not in tree.entries, "a sandbox has a /dev of its own"
    assert (tree.entries[b"srv/null"].kind, tree.entries[b"srv/null"].target) == ("c", b"1:3")
    assert (tree.entries[b"srv/disk"].kind, tree.entries[b"srv/disk"].target) == ("b", b"8:1")
    assert tree.entries[b"srv/pipe"].kind == "p"


def test_names_are_cleaned(read):
    tree = read(file(b"/etc/a") + file(b"./b") + file(b"c//./d") + header(b"e/", b"0") + file(b"f/.wh.g") + END)
    assert sorted(tree.entries) == [b"", b"b", b"c/d", b"e", b"etc/a", b"f/.wh.g"]
    assert tree.entries[b"e"].kind == DIRECTORY


def test_the_last_member_of_a_name_counts(read):
    assert read(file(b"a", b"old") + file(b"b", b"x") + file(b"a", b"new") + END).text("a") == "new"


def test_a_root_with_its_own_attributes(read):
    assert read(header(b"./", b"5", mode=b"0000700", uid=b"0000005") + END).entries[b""][2:4] == (0o700, 5)


def test_an_empty_archive_is_an_empty_tree(read):
    assert list(read(bytes(10240)).entries) == [b""]


PACKERS = {
    "plain": bytes,
    "gzip": gzip.compress,
    "gzip in two parts": lambda data: gzip.compress(data[:700]) + gzip.compress(data[700:]),
    "xz": lzma.compress,
    "bzip2": bz2.compress,
    "zstd": zstandard.ZstdCompressor().compress,
    "zstd in two frames": lambda data: b"".join(map(zstandard.ZstdCompressor().compress, (data[:700], data[700:]))),
}


@pytest.mark.parametrize("packer", PACKERS)
def test_compression_is_told_by_the_content_and_not_the_name(packer, tmp_path):
    packed = PACKERS[packer](file(b"a", b"hello" * 1000) + file(b"b") + END)
    (tmp_path / "image.txt").write_bytes(packed)
    assert in_memory(prepare_tar(str(tmp_path / "image.txt"))).text("a") == "hello" * 1000


def test_a_compressed_archive_may_lack_the_closing_blocks(read):
    """Compression tells that it is whole; and some writers leave them out."""
    assert "a" in read(gzip.compress(file(b"a", b"x")))


def test_an_owner_and_a_date_from_outside(tmp_path):
    (tmp_path / "a.tar").write_bytes(file(b"a", uid=b"0000007", mtime=b"00000001000") + END)
    memory = Memory()
    write_archive(str(tmp_path / "a.tar"), memory, 5, (1, 2))
    assert memory.entries[b"a"][3:6] == (1, 2, 5 * 10**9)


def test_a_large_file_does_not_have_to_fit_into_memory(tmp_path, monkeypatch):
    monkeypatch.setattr("envbuild.bases.tarball._MAX_IN_MEMORY", 100)
    used = []
    monkeypatch.setattr(os, "memfd_create", lambda *words: used.append(words))
    (tmp_path / "a.tar").write_bytes(file(b"a", b"x" * 101) + END)
    assert in_memory(prepare_tar(str(tmp_path / "a.tar"))).text("a") == "x" * 101
    assert not used


def test_python_writes_what_is_read(read):
    """An independent writer, with everything odd at once."""
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w", format=tarfile.PAX_FORMAT) as archive:
        info = tarfile.TarInfo("ä/" * 60 + "ü")
        info.size, info.mtime, info.uid, info.uname = 3, 1.25, 2**22, "jemand"
        archive.addfile(info, io.BytesIO(b"abc"))
    tree = read(stream.getvalue())
    assert tree.text("ä/" * 60 + "ü") == "abc"
    assert tree.entries[("ä/" * 60 + "ü").encode()].uid == 2**22


def test_blocks_that_are_not_all_read_are_passed_over(tmp_path):
    """Preparing looks at headers alone."""
    content = file(b"a", b"x" * 5000) + header(b"d", b"5", mtime=b"00000000777") + body(b"")
    (tmp_path / "a.tar").write_bytes(content + END)
    base = prepare_tar(str(tmp_path / "a.tar"))
    assert (base.identity, base.epoch, base.notes) == ("a.tar", 0o777, ())


def test_a_large_archive_tells_how_far_it_is(tmp_path):
    size = 24 << 20
    (tmp_path / "a.tar").write_bytes(file(b"a", b"\0" * size) + END)
    progress = []
    base = prepare_tar(str(tmp_path / "a.tar"), report=lambda done, total: progress.append((done, total)))
    half = len(progress)
    base.write(Memory())
    whole = (tmp_path / "a.tar").stat().st_size
    assert half
    assert len(progress) > half
    assert {total for _, total in progress} == {whole}
    assert [done for done, _ in progress] == sorted(done for done, _ in progress)
    assert progress[half - 1][0] <= whole / 2 < progress[-1][0] <= whole
