"""Zip archives as entries of a tree, trusting nothing that they say (format: PKWARE's APPNOTE.TXT).

zipfile reads the directory of the archive and unpacks members as streams, checksums included. What it trusts
and must not be trusted is checked against limits, and against what the archive can hold at all.
"""

from __future__ import annotations

import errno
import os
import stat
import struct
import zlib
from zipfile import BadZipFile, ZipFile, ZipInfo

from envbuild.archive.limits import ArchiveError, Limits
from envbuild.store.tree_builder import TreeBuilder
from envbuild.store.work_area import WorkArea
from envbuild.tree.entry import DIRECTORY, FILE, LINK, Entry

MAX_RATIO = 1100
"""Deflate makes at most 1,032 bytes of one (zlib's technical details); the rest is for small headers."""
MAX_TARGET = 4095
_CHUNK = 1 << 20
_DAMAGES = (
    BadZipFile,
    EOFError,
    zlib.error,
    struct.error,
    ValueError,
    OverflowError,
    NotImplementedError,
    RuntimeError,
)
"""All that zipfile and what it uses raise of an archive that is damaged, strange, or locked with a password."""


def unzip(
    path: str, builder: TreeBuilder, work: WorkArea, mtime: int, owner: tuple[int, int], limits: Limits | None = None
) -> None:
    """Add all members to `builder`; `mtime` is in nanoseconds. Raises ArchiveError."""
    try:
        with ZipFile(path) as archive:
            _Unzip(path, archive, builder, work, limits or Limits()).run(mtime, owner)
    except OSError as error:
        if error.errno not in (None, errno.EINVAL):
            raise  # the disk's fault. zipfile passes on what seek and bz2 say of the archive
        raise ArchiveError(path, f"damaged: {error}", 0) from error
    except _DAMAGES as error:
        raise ArchiveError(path, f"damaged or not supported: {error}", 0) from error
    except Exception as error:
        if type(error).__name__ != "LZMAError":  # lzma may not be there
            raise
        raise ArchiveError(path, f"damaged: {error}", 0) from error


class _Unzip:
    def __init__(self, path: str, archive: ZipFile, builder: TreeBuilder, work: WorkArea, limits: Limits) -> None:
        self._path = path
        self._archive = archive
        self._builder = builder
        self._work = work
        self._limits = limits

    def run(self, mtime: int, owner: tuple[int, int]) -> None:
        members = self._archive.infolist()
        if len(members) > self._limits.members:
            raise ArchiveError(self._path, f"more than {self._limits.members} members", 0)
        self._check_sizes(members)
        for info in members:
            name = self._name(info)
            if not name:
                continue  # the folder that is unpacked into
            mode = stat.S_IMODE(info.external_attr >> 16) & 0o755
            kind = stat.S_IFMT(info.external_attr >> 16)
            entry = Entry(b"", FILE, mode or 0o644, *owner, mtime)
            if info.is_dir():
                self._builder.add(name, entry._replace(kind=DIRECTORY, mode=mode or 0o755))
            elif kind == stat.S_IFLNK:
                self._builder.add(name, entry._replace(kind=LINK, mode=0o777, target=self._target(info)))
            elif kind in (0, stat.S_IFREG):
                self._file(info, name, entry)
            else:
                raise self._error("a member that is neither a file, a folder nor a link", info)

    def _check_sizes(self, members: list[ZipInfo]) -> None:
        """Refuse what the archive can't hold: members that share bytes, or that grow beyond all measure."""
        total = 0
        offsets = set()
        for info in members:
            total += info.file_size
            if info.file_size > self._limits.size or total > self._limits.total:
                raise self._error("more bytes than the limit", info)
            if info.file_size > MAX_RATIO * info.compress_size:
                raise self._error(f"{info.file_size} bytes out of {info.compress_size}", info)
            if info.header_offset in offsets:
                raise self._error("members in the same place", info)
            offsets.add(info.header_offset)
        if sum(info.compress_size for info in members) > os.path.getsize(self._path):
            raise ArchiveError(self._path, "members that overlap", 0)

    def _name(self, info: ZipInfo) -> bytes:
        name = info.filename.encode("utf-8", "surrogateescape")
        parts = [part for part in name.split(b"/") if part not in (b"", b".")]
        if b".." in parts:
            raise self._error("a path that leads out of the archive", info)
        if len(parts) > self._limits.depth or len(name) > self._limits.path or any(len(part) > 255 for part in parts):
            raise self._error("a path that is too long or too deep", info)
        return b"/".join(parts)

    def _target(self, info: ZipInfo) -> bytes:
        if not 0 < info.file_size <= MAX_TARGET:
            raise self._error(f"a link of {info.file_size} bytes", info)
        target = self._archive.read(info)
        if b"\0" in target:
            raise self._error("a link with a NUL byte", info)
        return target

    def _file(self, info: ZipInfo, name: bytes, entry: Entry) -> None:
        with self._work.file() as temporary:
            with self._archive.open(info) as source, open(temporary, "xb") as file:
                while chunk := source.read(_CHUNK):
                    file.write(chunk)
            descriptor = os.open(temporary, os.O_RDONLY | os.O_CLOEXEC)
            try:
                self._builder.add(name, entry, descriptor)
            finally:
                os.close(descriptor)

    def _error(self, reason: str, info: ZipInfo) -> ArchiveError:
        name = info.filename.encode("utf-8", "surrogateescape")
        return ArchiveError(self._path, reason, info.header_offset, name[:100])
