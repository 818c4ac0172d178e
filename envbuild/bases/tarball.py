"""The base `tar:`, and what `fetch(unpack)` unpacks: a tar archive as a tree. And the base `scratch`: a root directory
and nothing in it."""

from __future__ import annotations

import errno
import os
from collections.abc import Callable

from envbuild.archive.compression import open_compressed
from envbuild.archive.limits import ArchiveError, Limits, Tally
from envbuild.archive.tar import Member, Source, TarReader
from envbuild.tree.entry import DIRECTORY, FILE, ROOT_NAME, Entry
from envbuild.tree.target import PreparedBase, TreeTarget

OVERLAY = b"user.overlay."
KEPT_XATTRS = (b"user.", b"security.capability", b"system.posix_acl_")
_REFUSED = (errno.EINVAL, errno.ENOTSUP, errno.E2BIG, errno.ERANGE, errno.EPERM)
_CHUNK = 1 << 20
_MAX_WHOLE = 8 << 20
"""Bytes of a member that is passed on as it is; a larger one in a file."""
_MAX_IN_MEMORY = 64 << 20
EPOCH = 315_532_800
"""The date of `scratch`, 1980-01-01: the first day that every archive format can write."""


class ScratchBase:
    """Nothing at all."""

    identity = "nothing"
    epoch = EPOCH
    notes: tuple[str, ...] = ()

    def write(self, target: TreeTarget) -> None:
        """Add the root."""
        target.add(b"", Entry(ROOT_NAME, DIRECTORY, 0o755, 0, 0, EPOCH * 1_000_000_000))

    def close(self) -> None:
        """Do nothing."""


class TarBase:
    """A root file system in an archive. Its epoch is the time of its newest member."""

    notes: tuple[str, ...] = ()

    def __init__(self, path: str, epoch: int, report: Callable[[int, int], None] | None = None) -> None:
        self._path = path
        self._report = report
        self.epoch = epoch
        self.identity = os.path.basename(path)

    def write(self, target: TreeTarget) -> None:
        write_archive(self._path, target, self.epoch, report=_half(self._report, 1))

    def close(self) -> None:
        pass


def prepare_scratch() -> PreparedBase:
    """Return the base of nothing, which takes no preparing."""
    return ScratchBase()


def prepare_tar(
    path: str, limits: Limits | None = None, report: Callable[[int, int], None] | None = None
) -> PreparedBase:
    """Read the archive once, so that a bad one is refused before anything is written. Raises ArchiveError.

    `report` is called now and then, also while the tree is written, with the bytes done and their total."""
    source = open_compressed(path, _half(report, 0))
    try:
        newest = 0
        for member in TarReader(source, os.path.basename(path), limits).members():
            check_member(member, os.path.basename(path))
            newest = max(newest, member.mtime)
    finally:
        source.close()
    return TarBase(path, newest // 1_000_000_000, report)


def _half(report: Callable[[int, int], None] | None, half: int) -> Callable[[int, int], None] | None:
    """Return the report of one of two readings (0 or 1), each of which is half of the work."""
    return None if report is None else lambda done, total: report((half * total + done) // 2, total)


def write_archive(
    path: str,
    target: TreeTarget,
    epoch: int,
    owner: tuple[int, int] | None = None,
    limits: Limits | None = None,
    report: Callable[[int, int], None] | None = None,
) -> None:
    """Add all members of the archive to `target`, with times no later than `epoch` (seconds), as `owner` if one is
    given. Raises ArchiveError."""
    source = open_compressed(path, report)
    try:
        write_members(source, os.path.basename(path), target, epoch, owner, limits)
    finally:
        source.close()


def write_members(
    source: Source,
    name: str,
    target: TreeTarget,
    epoch: int,
    owner: tuple[int, int] | None = None,
    limits: Limits | None = None,
    tally: Tally | None = None,
) -> None:
    """Do the same with an archive that is open, of this name. `tally` counts on from those that it belongs to."""
    latest = epoch * 1_000_000_000
    target.add(b"", Entry(ROOT_NAME, DIRECTORY, 0o755, 0, 0, latest))
    reader = TarReader(source, name, limits, tally)
    for member in reader.members():
        check_member(member, name)
        entry = _entry(member, latest, owner)
        if member.kind in "cb" and member.path.startswith(b"dev/"):
            continue  # a sandbox has a /dev of its own
        if member.kind == "hard link":
            linked = target.get(member.target)
            if linked is None or linked.kind == DIRECTORY:
                raise ArchiveError(name, "a hard link to what did not come before", member.offset, member.path)
            # In a tree each name is a copy of its own.
            reader.count_unwritten(linked.size, member.offset, member.path)
            # Names of one file have its attributes, whatever the header says.
            target.link(member.path, member.target)
        elif entry.kind == FILE:
            _add_file(reader, member, entry, target, name)
        elif member.path or entry.kind == DIRECTORY:
            _add(target, member, entry, None, name)


def check_member(member: Member, archive: str) -> None:
    """Refuse what a tree can't hold or what would be something else in a layer. Raises ArchiveError."""
    if member.kind == "c" and member.device == (0, 0):
        raise ArchiveError(archive, "a device 0:0, which removes files in a layer", member.offset, member.path)
    if any(key.startswith((OVERLAY, b"trusted.")) for key, _ in member.xattrs):
        raise ArchiveError(archive, "an attribute that belongs to overlayfs", member.offset, member.path)
    if not member.path and member.kind != "d":
        raise ArchiveError(archive, "a root that is not a directory", member.offset, member.path)


def _entry(member: Member, latest: int, owner: tuple[int, int] | None) -> Entry:
    uid, gid = owner if owner is not None else (member.uid, member.gid)
    kind = FILE if member.kind == "hard link" else member.kind
    target = member.target if kind == "l" else b"%d:%d" % member.device if kind in "cb" else b""
    # Other kinds can't have them (xattr(7)).
    xattrs = tuple(pair for pair in member.xattrs if pair[0].startswith(KEPT_XATTRS) and kind in (FILE, DIRECTORY))
    mode = 0o777 if kind == "l" else member.mode
    name = member.path.rpartition(b"/")[2] or ROOT_NAME
    return Entry(name, kind, mode, uid, gid, min(member.mtime, latest), 0, "", target, xattrs)


def _add(target: TreeTarget, member: Member, entry: Entry, source: bytes | int | None, archive: str) -> None:
    try:
        target.add(member.path, entry, source)
    except OSError as error:
        if entry.xattrs and error.errno in _REFUSED:
            reason = f"attributes that can't be set here: {error.strerror}"
            raise ArchiveError(archive, reason, member.offset, member.path) from error
        raise


def _add_file(reader: TarReader, member: Member, entry: Entry, target: TreeTarget, name: str) -> None:
    """Pass the content on, that of large members through a file without a name."""
    if member.sparse is None and member.size <= _MAX_WHOLE:
        _add(target, member, entry, _whole(reader), name)
        return
    descriptor = _nameless(member.size)
    try:
        if member.sparse is None:
            while chunk := reader.read(_CHUNK):
                _write(descriptor, chunk)
        else:
            os.ftruncate(descriptor, member.size)
            for offset, length in member.sparse:
                os.lseek(descriptor, offset, os.SEEK_SET)
                while length:
                    chunk = reader.read(min(length, _CHUNK))
                    if not chunk:
                        break
                    _write(descriptor, chunk)
                    length -= len(chunk)
        os.lseek(descriptor, 0, os.SEEK_SET)
        _add(target, member, entry, descriptor, name)
    finally:
        os.close(descriptor)


def _whole(reader: TarReader) -> bytes:
    chunks = []
    while chunk := reader.read(_CHUNK):
        chunks.append(chunk)
    return b"".join(chunks)


def _nameless(size: int) -> int:
    if size > _MAX_IN_MEMORY:
        try:
            return os.open("/var/tmp", os.O_TMPFILE | os.O_RDWR | os.O_CLOEXEC, 0o600)
        except OSError:
            pass  # not every file system has such files (open(2)); then it has to fit into memory
    return os.memfd_create("member", os.MFD_CLOEXEC)


def _write(descriptor: int, data: bytes) -> None:
    view = memoryview(data)
    while view:
        view = view[os.write(descriptor, view) :]
