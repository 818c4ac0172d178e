"""Zip archives that mean harm are refused; what is left is unpacked as it is."""

from __future__ import annotations

import io
import os
import stat
import struct
import zipfile
from pathlib import Path
from zipfile import ZIP_DEFLATED, ZIP_STORED, ZipInfo

import pytest

from envbuild.archive.limits import ArchiveError, Limits
from envbuild.archive.zip import unzip
from envbuild.store.work_area import WorkArea
from tests.bases.targets import Memory

CENTRAL = b"PK\x01\x02"


def member(name: str, kind: int = 0, mode: int = 0o644) -> ZipInfo:
    info = ZipInfo(name)
    info.create_system = 3  # Unix: the upper half of external_attr is st_mode
    info.external_attr = (kind | mode) << 16
    return info


def zipped(*members: tuple[ZipInfo | str, bytes], method: int = ZIP_DEFLATED) -> bytes:
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", method) as archive:
        for name, content in members:
            archive.writestr(name, content, method)
    return stream.getvalue()


def declared(data: bytes, at: int, form: str, value: int, which: int = 0) -> bytes:
    """The archive with a field of a central directory header changed."""
    start = -1
    for _ in range(which + 1):
        start = data.index(CENTRAL, start + 1)
    changed = bytearray(data)
    struct.pack_into(form, changed, start + at, value)
    return bytes(changed)


SIZE, COMPRESSED, FLAGS, METHOD, OFFSET = (24, "<I"), (20, "<I"), (8, "<H"), (10, "<H"), (42, "<I")
ONE = zipped(("a", b"hello" * 10))
TWO = zipped(("a", os.urandom(300)), ("b", b"y"), method=ZIP_STORED)
HOSTILE = {
    "a path that leads out": (zipped(("../etc/passwd", b"x")), "leads out"),
    "a path that leads out in the middle": (zipped(("a/../../x", b"x")), "leads out"),
    "a folder that leads out": (zipped(("../evil/", b"")), "leads out"),
    "an absolute path that leads out": (zipped(("/../x", b"x")), "leads out"),
    "a path of 300 folders": (zipped(("d/" * 300 + "x", b"x")), "too long or too deep"),
    "a name of 256 bytes": (zipped(("n" * 256, b"x")), "too long or too deep"),
    "a device": (zipped((member("null", stat.S_IFCHR), b"")), "neither a file"),
    "a pipe": (zipped((member("pipe", stat.S_IFIFO), b"")), "neither a file"),
    "a socket": (zipped((member("socket", stat.S_IFSOCK), b"")), "neither a file"),
    "a link to nowhere": (zipped((member("link", stat.S_IFLNK), b"")), "a link of 0 bytes"),
    "a link of a megabyte": (zipped((member("link", stat.S_IFLNK), os.urandom(1 << 20))), "a link of 1048576 bytes"),
    "a link with a NUL byte": (zipped((member("link", stat.S_IFLNK), b"a\0b")), "NUL byte"),
    "a bomb by ratio": (declared(ONE, *SIZE, 1 << 30), "bytes out of"),
    "a bomb by size": (declared(ONE, *SIZE, 0xFFFFFFF0), "bytes out of"),
    "members in the same place": (declared(TWO, *OFFSET, 0, which=1), "in the same place"),
    "members that overlap": (declared(declared(TWO, *COMPRESSED, 250, which=1), *SIZE, 250, which=1), "overlap"),
    "a wrong size": (declared(ONE, *SIZE, 49), "damaged"),
    "a wrong method": (declared(ONE, *METHOD, 77), "not supported"),
    "an encrypted member": (declared(ONE, *FLAGS, 1), "encrypted"),
    "a changed byte": (ONE.replace(b"a", b"a", 1).replace(ONE[31:34], bytes(3), 1), "damaged"),
    "an archive that is cut short": (ONE[:20] + ONE[-60:], "damaged"),
    "no zip at all": (b"PK\x05\x06" + bytes(4), "damaged"),
    "an offset behind the end": (declared(ONE, *OFFSET, 0xFFFF), "damaged"),
}


@pytest.fixture
def unpack(tmp_path: Path):
    (tmp_path / "work").mkdir()

    def run(data: bytes, limits: Limits | None = None) -> Memory:
        path = tmp_path / "x.zip"
        path.write_bytes(data)
        work = WorkArea(str(tmp_path / "work"))
        memory = Memory()
        try:
            unzip(str(path), memory, work, 5, (3, 4), limits)  # type: ignore[arg-type]
        finally:
            work.release()
        assert list((tmp_path / "work").iterdir()) == []
        return memory

    return run


@pytest.mark.parametrize("what", HOSTILE)
def test_a_hostile_archive_is_refused(unpack, what):
    data, reason = HOSTILE[what]
    with pytest.raises(ArchiveError) as refused:
        unpack(data)
    assert reason in refused.value.message


def test_limits_on_members_and_bytes(unpack):
    many = zipped(*((f"f{n}", b"") for n in range(6)))
    with pytest.raises(ArchiveError, match="more than 5 members"):
        unpack(many, Limits(members=5))
    with pytest.raises(ArchiveError, match="more bytes than the limit"):
        unpack(TWO, Limits(total=300))


def test_what_is_harmless_is_unpacked_as_it_is(unpack):
    unpacked = unpack(
        zipped(
            (member("bin/tool", stat.S_IFREG, 0o4775), b"program"),
            (member("/abs", stat.S_IFREG, 0o600), b"from the root of the archive"),
            (member("link", stat.S_IFLNK, 0o777), b"/etc/passwd"),
            ("back\\slash", b"a name like any other"),
            ("dir/", b""),
            ("same", b"first"),
            ("caf\u00e9", b"utf-8"),
        )
    )
    tool = unpacked.entries[b"bin/tool"]
    # Set-user-id bits and the right of others to write do not come along.
    assert (tool.mode, tool.uid, tool.gid, tool.mtime) == (0o755, 3, 4, 5)
    assert unpacked.text("bin/tool") == "program"
    assert unpacked.text("abs") == "from the root of the archive"
    assert unpacked.entries[b"link"].target == b"/etc/passwd"
    assert unpacked.text("back\\slash") == "a name like any other"
    assert unpacked.entries[b"dir"].kind == "d"
    assert unpacked.text("caf\u00e9") == "utf-8"
