"""`cp` with `-` on one side: a tar archive that is written, or one that is read."""

from __future__ import annotations

import os
import stat
from collections.abc import Callable

from envbuild.archive.limits import ArchiveError, Limits
from envbuild.archive.tar import Member, TarReader
from envbuild.errors import WorkFailed, fields
from envbuild.instances.copy import Source
from envbuild.linux.safe_copy import (
    MAX_DEPTH,
    MAX_UNANNOUNCED,
    TooDeep,
    discard,
    into_place,
    make_directory,
    opened_at,
)
from envbuild.linux.safe_copy import temporary_name as new_name
from envbuild.linux.sparse_files import data_of, has_holes
from envbuild.linux.syscalls import RESOLVE_BENEATH, RESOLVE_NO_SYMLINKS, openat2
from envbuild.tree.entry import KIND_WORDS

TYPE_CHECKING = False
if TYPE_CHECKING:
    from io import FileIO
    from tarfile import TarFile, TarInfo
    from typing import BinaryIO

_CHUNK = 1 << 20
_BLOCK = 512
_NAME = "standard input"
_BELOW = RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS
_SET_ID = stat.S_ISUID | stat.S_ISGID
Skipped = Callable[[str, str], None]


@fields
class LeadsThrough(WorkFailed):
    """A member of an archive whose directory is something else here."""

    path: str

    def text(self) -> tuple[str, str]:
        return f"{self.path} would go through a link or a file", "remove that first"


class _Input:
    """A stream for our own reader of archives."""

    verified = False

    def __init__(self, stream: BinaryIO) -> None:
        self._stream = stream

    def read(self, size: int) -> bytes:
        return self._stream.read(size)


def read_tar(
    stream: BinaryIO,
    folder: int,
    owner: tuple[int, int] | None,
    *,
    archive: bool,
    skipped: Skipped,
    number: Callable[[int], int] = int,
) -> None:
    """Put the members of a tar archive into the directory `folder`: they belong to `owner`, or with `archive` to what
    `number` makes of the numbers that the archive says. No member goes through a link. Raises ArchiveError,
    LeadsThrough, InTheWay and MountedThere."""
    # Holes stay such, and cost nothing here.
    reader = TarReader(_Input(stream), _NAME, Limits(holes=1 << 62))
    folders: list[tuple[str, Member]] = []

    def owner_of(member: Member) -> tuple[int, int] | None:
        return (number(member.uid), number(member.gid)) if archive else owner

    for member in reader.members():
        path = os.fsdecode(member.path)
        if not path:
            continue  # the archive's own root
        parent, name = os.path.split(path)
        held = _parent(folder, parent, path)
        try:
            if member.kind == "d":
                make_directory(held, name, path)
                folders.append((path, member))
            else:
                _put(reader, member, folder, held, name, owner_of(member), skipped)
        finally:
            os.close(held)
    # Their times and modes last: what was put in has changed the one and may not fit the other.
    for path, member in reversed(folders):
        held = openat2(folder, path, os.O_RDONLY | os.O_DIRECTORY, _BELOW)
        try:
            _finish(held, member, owner_of(member), archive=archive)
        finally:
            os.close(held)


def _parent(folder: int, parent: str, path: str) -> int:
    """Return the directory that a member lies in, made where it is missing."""
    held = os.dup(folder)
    for name in filter(None, parent.split("/")):
        try:
            try:
                inner = os.open(name, os.O_PATH | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=held)
            except FileNotFoundError:
                os.mkdir(name, 0o755, dir_fd=held)
                inner = os.open(name, os.O_PATH | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=held)
        except NotADirectoryError:
            raise LeadsThrough(path) from None
        finally:
            os.close(held)
        held = inner
    return held


def _put(
    reader: TarReader,
    member: Member,
    folder: int,
    held: int,
    name: str,
    owner: tuple[int, int] | None,
    skipped: Skipped,
) -> None:
    path = os.fsdecode(member.path)
    temporary = new_name()
    try:
        if member.kind == "f":
            with opened_at(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, held) as made:
                _content(reader, member, made)
                _finish(made, member, owner, archive=False)
        elif member.kind == "l":
            os.symlink(os.fsdecode(member.target), temporary, dir_fd=held)
            if owner is not None:
                os.chown(temporary, *owner, dir_fd=held, follow_symlinks=False)
            os.utime(temporary, ns=(member.mtime, member.mtime), dir_fd=held, follow_symlinks=False)
        elif member.kind == "hard link":
            try:
                first = openat2(folder, os.fsdecode(member.target), os.O_PATH, _BELOW)
            except OSError:
                raise ArchiveError(
                    _NAME, "a hard link to what did not come before", member.offset, member.path
                ) from None
            try:
                os.link(f"/proc/self/fd/{first}", temporary, dst_dir_fd=held, follow_symlinks=True)
            finally:
                os.close(first)
        else:
            skipped(path, f"a {KIND_WORDS[member.kind]}")
            return
        into_place(held, temporary, name, path)
    finally:
        discard(held, temporary)


def _content(reader: TarReader, member: Member, made: int) -> None:
    for offset, length in member.sparse if member.sparse is not None else ((0, member.stored),):
        os.lseek(made, offset, os.SEEK_SET)
        while length and (chunk := reader.read(min(length, _CHUNK))):
            length -= len(chunk)
            view = memoryview(chunk)
            while view:
                view = view[os.write(made, view) :]
    os.ftruncate(made, member.size)


def _finish(made: int, member: Member, owner: tuple[int, int] | None, *, archive: bool) -> None:
    if owner is not None:
        os.fchown(made, *owner)
    os.fchmod(made, member.mode & ~(0 if archive else _SET_ID))
    os.utime(made, ns=(member.mtime, member.mtime))


def write_tar(
    source: Source,
    stream: BinaryIO,
    skipped: Skipped,
    leave_out: tuple[str, ...] = (),
    number: Callable[[int], int] = int,
) -> None:
    """Write what was found as a tar archive (pax), with its owners' numbers inside, which `number` makes of those that
    this process sees; the contents of a folder without a name under `.`."""
    import tarfile  # only here; written with, never read (docs/security.md)

    with tarfile.open(fileobj=stream, mode="w|", format=tarfile.PAX_FORMAT) as archive:
        _Writer(archive, skipped, leave_out, number).add(source.held, source.name or ".")


class _Writer:
    def __init__(
        self, archive: TarFile, skipped: Skipped, leave_out: tuple[str, ...], number: Callable[[int], int]
    ) -> None:
        self._number = number
        self._archive = archive
        self._skipped = skipped
        self._leave_out = leave_out
        self._depth = 0
        self._linked: dict[tuple[int, int], str] = {}

    def add(self, held: int, name: str) -> None:
        from tarfile import DIRTYPE, SYMTYPE, TarInfo

        status = os.fstat(held)
        info = TarInfo(name)
        info.mode = stat.S_IMODE(status.st_mode)
        info.uid, info.gid = self._number(status.st_uid), self._number(status.st_gid)
        info.mtime = status.st_mtime_ns / 1e9 if status.st_mtime_ns % 1_000_000_000 else int(status.st_mtime)
        if stat.S_ISLNK(status.st_mode):
            info.type, info.linkname = SYMTYPE, os.readlink("", dir_fd=held)
            self._archive.addfile(info)
        elif stat.S_ISREG(status.st_mode):
            self._file(held, status, info)
        elif stat.S_ISDIR(status.st_mode):
            info.type = DIRTYPE
            self._archive.addfile(info)
            self._folder(held, name)
        else:
            self._skipped(name, "no file")

    def _file(self, held: int, status: os.stat_result, info: TarInfo) -> None:
        from tarfile import LNKTYPE

        identity = (status.st_dev, status.st_ino)
        if status.st_nlink > 1 and identity in self._linked:
            info.type, info.linkname = LNKTYPE, self._linked[identity]
            self._archive.addfile(info)
            return
        with open(f"/proc/self/fd/{held}", "rb", buffering=0) as file:
            if has_holes(status):
                self._sparse(file.fileno(), status, info)
            elif status.st_size:
                info.size = status.st_size
                self._archive.addfile(info, _Exactly(file, status.st_size))
            else:
                # A file of /proc says that it has no bytes.
                from io import BytesIO

                content = b""
                while len(content) < MAX_UNANNOUNCED and (chunk := file.read(_CHUNK)):
                    content += chunk
                info.size = len(content)
                self._archive.addfile(info, BytesIO(content))
        if status.st_nlink > 1:
            self._linked[identity] = info.name

    def _sparse(self, descriptor: int, status: os.stat_result, info: TarInfo) -> None:
        """Yield a file with holes, without them: a map of its parts comes first, then these (GNU tar's manual, "PAX
        Format, Version 1.0")."""
        parts = list(data_of(descriptor, status.st_size))
        if not parts or sum(parts[-1]) < status.st_size:
            parts.append((status.st_size, 0))
        numbers = [len(parts), *(number for part in parts for number in part)]
        head = "".join(f"{number}\n" for number in numbers).encode()
        head += b"\0" * (-len(head) % _BLOCK)
        folder, _, name = info.name.rpartition("/")
        info.pax_headers = {
            "GNU.sparse.major": "1",
            "GNU.sparse.minor": "0",
            "GNU.sparse.name": info.name,
            "GNU.sparse.realsize": str(status.st_size),
        }
        shown = info.name
        info.name = f"{folder or '.'}/GNUSparseFile.0/{name}"
        info.size = len(head) + sum(length for _, length in parts)
        self._archive.addfile(info, _Pieces(descriptor, head, parts))
        info.name = shown

    def _folder(self, held: int, path: str) -> None:
        self._depth += 1
        if self._depth > MAX_DEPTH:
            raise TooDeep(path[:60])
        listed = os.open(f"/proc/self/fd/{held}", os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            names = sorted(os.listdir(listed))
        finally:
            os.close(listed)
        for name in names:
            if self._depth == 1 and name in self._leave_out:
                continue
            try:
                inner = os.open(name, os.O_PATH | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=held)
            except FileNotFoundError:
                continue  # removed meanwhile
            try:
                self.add(inner, f"{path}/{name}")
            finally:
                os.close(inner)
        self._depth -= 1


class _Pieces:
    """A head, and parts of a file after it; what is missing of them by now is filled up with zeros."""

    def __init__(self, descriptor: int, head: bytes, parts: list[tuple[int, int]]) -> None:
        self._descriptor = descriptor
        self._head = head
        self._parts = parts[::-1]

    def read(self, size: int = -1) -> bytes:
        """Return as many bytes as are asked for; tarfile never asks for more than there are."""
        read = b""
        while size and (self._head or self._parts):
            if self._head:
                piece, self._head = self._head[:size], self._head[size:]
            else:
                offset, length = self._parts.pop()
                wanted = min(length, size)
                piece = os.pread(self._descriptor, wanted, offset)
                piece += b"\0" * (wanted - len(piece))
                if length > wanted:
                    self._parts.append((offset + wanted, length - wanted))
            read += piece
            size -= len(piece)
        return read


class _Exactly:
    """As many bytes as the archive's header has said: a file that is made shorter meanwhile is filled up with zeros."""

    def __init__(self, file: FileIO, size: int) -> None:
        self._file = file
        self._left = size

    def read(self, size: int = -1) -> bytes:
        wanted = self._left if size < 0 else min(size, self._left)
        content = self._file.read(wanted) or b""
        self._left -= wanted
        return content + b"\0" * (wanted - len(content))
