"""Archives and programs: from the network, from recipes' folders, and from packages."""

from __future__ import annotations

import gzip
from contextlib import contextmanager, suppress

from envbuild.archive.limits import ArchiveError, Limits
from envbuild.archive.tar import TarReader
from envbuild.archive.zip import unzip
from envbuild.bases.tarball import prepare_tar, write_archive
from envbuild.debian.deb import BadArchive, control_of
from envbuild.debian.elf import parse_elf
from envbuild.packages.node_manifest import manifest_of, programs_of
from envbuild.packages.npm_archive import Odd, files_of
from envbuild.store.tree_builder import TreeBuilder
from envbuild.tree.lookup import MemoryTrees
from tests.bases.targets import Memory, content_of
from tests.fuzz.target import Target, scratch, written

LIMITS = Limits(members=1000, size=1 << 20, total=8 << 20)


class _Bytes:
    """An uncompressed archive in memory."""

    verified = False

    def __init__(self, data: bytes) -> None:
        self._data = data
        self._at = 0

    def read(self, size: int) -> bytes:
        part = self._data[self._at : self._at + size]
        self._at += len(part)
        return part


class _Objects:
    """A pool that takes contents and keeps none."""

    def add(self, entry, source):
        data = content_of(source)
        assert len(data) <= LIMITS.size
        return entry._replace(size=len(data), digest="0" * 64)


class _Work:
    @contextmanager
    def file(self):
        path = f"{scratch()}/member"
        try:
            yield path
        finally:
            with suppress(FileNotFoundError):
                import os

                os.unlink(path)


def read_npm_archive(data: bytes) -> None:
    """Reads a tar archive as that of a Node package: what comes of it has plain names."""
    for file in files_of(gzip.compress(data, 1, mtime=0)):
        names = file.path.split(b"/")
        assert not {b"", b".", b".."} & set(names)
        assert b"\0" not in file.path
        assert file.mode in (0o644, 0o755, 0o744, 0o645, 0o654, 0o655, 0o745, 0o754)


def read_npm_programs(data: bytes) -> None:
    """Reads the programs of a package.json: all of them are called and lie inside."""
    for name, path in programs_of(manifest_of(data), lambda path: ["x"]):
        assert name not in ("", ".", "..")
        assert "/" not in name
        assert not {"", ".", ".."} & set(path.split("/"))


def read_tar(data: bytes) -> None:
    reader = TarReader(_Bytes(data), "a.tar", LIMITS)
    for member in reader.members():
        assert b".." not in member.path.split(b"/")
        assert b"\0" not in member.path + member.target
        held = 0
        while chunk := reader.read(1 << 16):
            held += len(chunk)
        assert held <= len(data)


def read_tar_base(data: bytes) -> None:
    """From a file that may be compressed to a tree, as `tar:` and `fetch(unpack)` do it."""
    path = written(data)
    prepare_tar(path, LIMITS)
    memory = Memory()
    write_archive(path, memory, 1_700_000_000, limits=LIMITS)


def read_zip(data: bytes) -> None:
    builder = TreeBuilder(MemoryTrees(), _Objects())  # type: ignore[arg-type]
    unzip(written(data), builder, _Work(), 0, (0, 0), LIMITS)  # type: ignore[arg-type]
    builder.finish()


def read_deb(data: bytes) -> None:
    control_of(written(data, "a.deb")).encode("utf-8", "surrogateescape")


def read_elf(data: bytes) -> None:
    parse_elf(data)


_TAR = (
    b"GNU.sparse.map=",
    b"GNU.sparse.major=1",
    b"GNU.sparse.realsize=",
    b"GNU.sparse.name=",
    b"path=",
    b"size=",
    b"linkpath=",
    b"SCHILY.xattr.user.a=",
    b"mtime=",
    b"ustar\0",
    b"ustar  \0",
    b"\x80\0\0",
    b"\xff\xff",
)

TARGETS = (
    Target("deb", read_deb, (BadArchive,), (b"`\n", b"control.tar.xz", b"control.tar.gz", b"-1", b"./control", *_TAR)),
    Target("tar", read_tar, (ArchiveError,), _TAR),
    Target("npm-archive", read_npm_archive, (Odd,), (*_TAR, b"path=", b"package/", b"../", b"./")),
    Target(
        "npm-programs", read_npm_programs, (Odd,), (b'"bin"', b'"directories"', b'"name"', b"../", b"./", b"\\ud800")
    ),
    Target("tar-base", read_tar_base, (ArchiveError,), _TAR),
    Target("zip", read_zip, (ArchiveError,), (b"PK\3\4", b"PK\1\2", b"PK\5\6", b"PK\6\6", b"PK\6\7")),
    Target("elf", read_elf, (), (b"\x7fELF", b"\xff" * 8, b"\0\0\0\x80")),
)
