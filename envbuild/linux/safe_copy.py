"""Copies files between directories that are held open, however hostile either side is.

No path is ever followed: each name is opened relative to its own directory and as what it is. So a link in what is
copied stays a link, one that is put in the way meanwhile is noticed, and nothing is read or written outside of the two
directories. A file is written under a name of its own and then renamed: nobody sees a half.
"""

from __future__ import annotations

import errno
import os
import stat
import struct
from collections.abc import Callable

from envbuild.errors import WorkFailed, fields
from envbuild.linux.attributes import CAPABILITY, OVERLAY_PREFIX
from envbuild.linux.sparse_files import parts
from envbuild.linux.syscalls import RESOLVE_BENEATH, RESOLVE_NO_SYMLINKS, openat2
from envbuild.record import Record
from envbuild.tree.entry import KIND_WORDS, TYPE_BITS

MAX_DEPTH = 400
"""Directories within directories: each is held open, on both sides."""
MAX_UNANNOUNCED = 64 << 20
"""Bytes that are copied of a file that says it has none."""
_CHUNK = 1 << 20
_SET_ID = stat.S_ISUID | stat.S_ISGID
_ACCESS_LIST = "system.posix_acl_"
_ACL_HEAD, _ACL_NAMED = 4, (0x02, 0x08)


class Rules(Record):
    """What the copies have of what they are copies of: their mode, time and `user.` attributes always.

    `owner` is who gets them, None for whoever makes them; with `owners` they belong to the same numbers as before, or
    rather to what `number` makes of these, where the two sides show one owner under two numbers.
    With `special` they also have set-user-id bits, access lists and capabilities. With `pipes` FIFOs are made anew,
    else they are left out.
    """

    owner: tuple[int, int] | None = None
    owners: bool = False
    special: bool = False
    pipes: bool = False
    number: Callable[[int], int] = lambda number: number


@fields
class InTheWay(WorkFailed):
    """Where something is to be copied to is another kind of thing: `obstacle` and `kind` say which, as in "a file"."""

    path: str
    kind: str
    obstacle: str

    def text(self) -> tuple[str, str]:
        return f"{self.path} is {self.kind}, and {self.obstacle} is in its way", "remove that first"


@fields
class MountedThere(WorkFailed):
    """A file that is to be replaced is mounted by itself."""

    path: str

    def text(self) -> tuple[str, str]:
        return f"{self.path} can't be replaced: it is mounted by itself", "copy it to another place"


@fields
class TooDeep(WorkFailed):
    """Directories within directories without end."""

    path: str

    def text(self) -> tuple[str, str]:
        return f"{self.path}: more than {MAX_DEPTH} directories within each other", "copy a part of it"


class Copier:
    """Copies things one after the other; hard links between them stay such. `skipped` is told (path, why) of what can't
    be copied."""

    def __init__(self, rules: Rules, skipped: Callable[[str, str], None] = lambda path, why: None) -> None:
        self._rules = rules
        self._skipped = skipped
        self._linked: dict[tuple[int, int], str] = {}
        self._top = -1
        self._trail: list[str] = []
        self._targets: set[tuple[int, int]] = set()

    def contents(self, source: int, target: int, path: str = "", leave_out: tuple[str, ...] = ()) -> None:
        """Copy all that the directory `source` has (but for names in `leave_out`) into `target`; what is there of the
        same name is replaced, directories are joined. `path` is how messages name `source`."""
        listed = os.open(f"/proc/self/fd/{source}", os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            names = sorted(os.listdir(listed))
        finally:
            os.close(listed)
        if len(self._trail) > MAX_DEPTH:
            raise TooDeep(path[:60])
        if not self._trail:
            self._top = target
        for name in names:
            if name in leave_out:
                continue
            shown = f"{path}/{name}"
            try:
                source_entry = os.open(name, os.O_PATH | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=source)
            except FileNotFoundError:
                continue  # removed meanwhile
            try:
                self.copy(source_entry, target, name, shown)
            finally:
                os.close(source_entry)

    def copy(self, source: int, target: int, name: str, path: str) -> None:
        """Copy what the descriptor `source` (of O_PATH) stands for to `name` in the directory `target`."""
        if not self._trail:
            self._top = target
        status = os.fstat(source)
        kind = stat.S_IFMT(status.st_mode)
        if kind == stat.S_IFDIR:
            self._directory(source, status, target, name, path)
            return
        if kind == stat.S_IFREG and status.st_nlink > 1 and self._link_again(status, target, name):
            return
        temporary = temporary_name()
        try:
            if kind == stat.S_IFREG:
                self._file(source, status, target, temporary)
            elif kind == stat.S_IFLNK:
                os.symlink(os.readlink("", dir_fd=source), temporary, dir_fd=target)
                self._finish_link(status, target, temporary)
            elif kind == stat.S_IFIFO and self._rules.pipes:
                os.mkfifo(temporary, 0o600, dir_fd=target)
                with opened_at(temporary, os.O_PATH, target) as made:
                    self._attributes(f"/proc/self/fd/{made}", source, status)
            else:
                self._skipped(path, _WORDS.get(kind, "not a file"))
                return
            into_place(target, temporary, name, path)
        except BaseException:
            discard(target, temporary)
            raise
        if kind == stat.S_IFREG and status.st_nlink > 1:
            self._linked[status.st_dev, status.st_ino] = "/".join((*self._trail, name))

    def attributes(self, made: int, source: int) -> None:
        """Give the directory `made` what the rules say of those of `source`."""
        self._attributes(made, source, os.fstat(source))

    def _directory(self, source: int, status: os.stat_result, target: int, name: str, path: str) -> None:
        if (status.st_dev, status.st_ino) in self._targets:
            # A directory that an instance shows is copied into that instance.
            self._skipped(path, "the copy itself")
            return
        made = make_directory(target, name, path)
        with opened_at(name, os.O_RDONLY | os.O_DIRECTORY, target) as inner:
            there = os.fstat(inner)
            self._targets.add((there.st_dev, there.st_ino))
            self._trail.append(name)
            try:
                self.contents(source, inner, path)
            finally:
                self._trail.pop()
                self._targets.discard((there.st_dev, there.st_ino))
            if made:
                self._attributes(inner, source, status)

    def _file(self, held: int, status: os.stat_result, target: int, name: str) -> None:
        # By way of what is held: that is a file, whatever has its name by now.
        source = os.open(f"/proc/self/fd/{held}", os.O_RDONLY | os.O_CLOEXEC)
        try:
            with opened_at(name, os.O_WRONLY | os.O_CREAT | os.O_EXCL, target) as made:
                copy_content(source, made, status)
                self._attributes(made, held, status)
        finally:
            os.close(source)

    def _link_again(self, status: os.stat_result, target: int, name: str) -> bool:
        """Make another name for a copy that was made before, if there is one."""
        known = self._linked.get((status.st_dev, status.st_ino))
        if known is None:
            return False
        temporary = temporary_name()
        try:
            first = openat2(self._top, known, os.O_PATH, RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS)
            try:
                os.link(f"/proc/self/fd/{first}", temporary, dst_dir_fd=target, follow_symlinks=True)
            finally:
                os.close(first)
            into_place(target, temporary, name, name)
        except OSError:
            discard(target, temporary)
            return False  # moved meanwhile, or not on this file system: then it is a copy
        # A rename of one name of a file onto another does nothing at all (rename(2)).
        discard(target, temporary)
        return True

    def _finish_link(self, status: os.stat_result, target: int, name: str) -> None:
        owner = self._owner(status)
        if owner is not None:
            os.chown(name, *owner, dir_fd=target, follow_symlinks=False)
        os.utime(name, ns=(status.st_atime_ns, status.st_mtime_ns), dir_fd=target, follow_symlinks=False)

    def _owner(self, status: os.stat_result) -> tuple[int, int] | None:
        if not self._rules.owners:
            return self._rules.owner
        return self._rules.number(status.st_uid), self._rules.number(status.st_gid)

    def _attributes(self, made: int | str, source: int, status: os.stat_result) -> None:
        owner = self._owner(status)
        if owner is not None:
            os.chown(made, *owner)
        # After chown, which clears the set-user-id bit.
        os.chmod(made, stat.S_IMODE(status.st_mode) & ~(0 if self._rules.special else _SET_ID))
        for name, value in _attributes_of(source):
            if name.startswith("user.") or self._rules.special:
                if name.startswith(_ACCESS_LIST):
                    value = _renumbered(value, self._rules.number)
                try:
                    os.setxattr(made, name, value)
                except OSError as error:
                    if error.errno not in (errno.ENOTSUP, errno.EPERM, errno.EINVAL):
                        raise
        os.utime(made, ns=(status.st_atime_ns, status.st_mtime_ns))


class opened_at:
    """`os.open` without following a link, closed in the end."""

    def __init__(self, name: str, flags: int, directory: int) -> None:
        self._descriptor = os.open(name, flags | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600, dir_fd=directory)

    def __enter__(self) -> int:
        return self._descriptor

    def __exit__(self, *_: object) -> None:
        os.close(self._descriptor)


_WORDS = {TYPE_BITS[kind]: f"a {word}" for kind, word in KIND_WORDS.items()} | {stat.S_IFSOCK: "a socket"}


def make_directory(target: int, name: str, path: str) -> bool:
    """Make a directory, or find that there is one (False). Raises InTheWay for anything else, a link too."""
    try:
        os.mkdir(name, 0o700, dir_fd=target)
    except FileExistsError:
        status = os.stat(name, dir_fd=target, follow_symlinks=False)
        if not stat.S_ISDIR(status.st_mode):
            what = "a link" if stat.S_ISLNK(status.st_mode) else "a file"
            raise InTheWay(path, "a directory", what) from None
        return False
    return True


def copy_bytes(source: int, target: int, most: int | None = None) -> None:
    """Copy from where both stand, to the end or at most so many bytes."""
    while most is None or most > 0:
        chunk = os.read(source, _CHUNK if most is None else min(_CHUNK, most))
        if not chunk:
            return
        if most is not None:
            most -= len(chunk)
        view = memoryview(chunk)
        while view:
            view = view[os.write(target, view) :]


def copy_content(source: int, target: int, status: os.stat_result) -> None:
    """Return what the file has now and no more, so that one which grows without end has an end. Holes stay holes."""
    size = status.st_size
    if size == 0 or status.st_blocks * 512 >= size:
        # A file of /proc says that it has no bytes; one that is written without end says so at its beginning, too.
        copy_bytes(source, target, size or MAX_UNANNOUNCED)
        return
    copied = 0
    for piece, hole in parts(source, size):
        copied += len(piece)
        if hole:
            os.lseek(target, len(piece), os.SEEK_CUR)
            continue
        view = memoryview(piece)
        while view:
            view = view[os.write(target, view) :]
    os.ftruncate(target, copied)


def _attributes_of(source: int) -> list[tuple[str, bytes]]:
    path = f"/proc/self/fd/{source}"
    try:
        names = os.listxattr(path)
        return [
            (name, os.getxattr(path, name))
            for name in names
            if (name.startswith(("user.", _ACCESS_LIST)) or name == CAPABILITY) and not name.startswith(OVERLAY_PREFIX)
        ]
    except OSError as error:
        if error.errno in (errno.ENOTSUP, errno.EPERM, errno.ENODATA, errno.EACCES):
            return []
        raise


def _renumbered(value: bytes, number: Callable[[int], int]) -> bytes:
    """Return an access list with its ids as another side shows them: a version, then tag, rights and id of each entry
    (linux/posix_acl_xattr.h); named users and groups have one."""
    entries = [struct.unpack_from("<HHI", value, at) for at in range(_ACL_HEAD, len(value) - 7, 8)]
    named = [(tag, rights, number(identity) if tag in _ACL_NAMED else identity) for tag, rights, identity in entries]
    return value[:_ACL_HEAD] + b"".join(struct.pack("<HHI", *entry) for entry in named)


def temporary_name() -> str:
    """Return what a file is called until it is whole."""
    return f".envbuild-{os.urandom(6).hex()}"


def into_place(target: int, temporary: str, name: str, path: str) -> None:
    """Give a finished file its name, in the place of a file that may have it. Raises InTheWay and
    MountedThere."""
    try:
        os.rename(temporary, name, src_dir_fd=target, dst_dir_fd=target)
    except OSError as error:
        if error.errno == errno.EBUSY:
            raise MountedThere(path) from error
        if error.errno in (errno.EISDIR, errno.ENOTEMPTY, errno.EEXIST, errno.ENOTDIR):
            raise InTheWay(path, "a file", "a directory") from error
        raise


def discard(target: int, name: str) -> None:
    """Remove a file that may not be there."""
    try:
        os.unlink(name, dir_fd=target)
    except FileNotFoundError:
        pass
