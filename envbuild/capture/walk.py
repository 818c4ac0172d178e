"""The walk over a machine's files: every directory becomes entries as the machine has them.

Each name is opened relative to its own directory and as what it is, so that no link leads anywhere, whoever swaps what
while we look. What vanishes meanwhile is not there; what can't be read is noted, never passed over in silence. A
directory that is as the last capture saw it costs its listing and a stat of each file.
"""

from __future__ import annotations

import errno
import os
import stat
import time
from collections.abc import Callable, Iterable
from functools import partial
from itertools import islice

from envbuild.capture.known_directories import NO_MARK, KnownDirectories, KnownDirectory
from envbuild.capture.left_out import OTHER_FILES, STORE, Inside, LeftOut
from envbuild.capture.pending_directory import PendingDirectory
from envbuild.capture.reader_process import (
    CHANGED,
    CHANGING,
    RACY_NANOSECONDS,
    TAKEN,
    UNREAD,
    Answer,
    mark_of,
)
from envbuild.capture.readers import MAX_FILES, File, Readers
from envbuild.capture.state.package_folders import PACKAGE_FOLDERS
from envbuild.images.capture_record import FOLDER, Missing, Secret
from envbuild.linux.attributes import read_xattrs
from envbuild.linux.syscalls import RESOLVE_BENEATH, RESOLVE_NO_SYMLINKS, openat2
from envbuild.record import Record
from envbuild.tree.entry import BLOCK_DEVICE, CHARACTER_DEVICE, DIRECTORY, FIFO, FILE, LINK, ROOT_NAME, Digest, Entry

MAX_DEPTH = 400
"""Directories within directories: each is held open."""
ABOVE_RECORD = tuple(b"/".join(FOLDER.split(b"/")[:count]) for count in range(FOLDER.count(b"/") + 1))
"""The directories that get what a capture says of itself: they are put together each time."""
_SECOND = 1_000_000_000
_DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_GONE = (errno.ENOENT, errno.ENOTDIR, errno.ELOOP)
"""What opening something says that was there a moment ago as another kind of thing."""
_KINDS = {stat.S_IFCHR: CHARACTER_DEVICE, stat.S_IFBLK: BLOCK_DEVICE, stat.S_IFIFO: FIFO}

Load = Callable[[Digest], tuple[Entry, ...]]
Save = Callable[[Iterable[Entry]], Digest]


class Walked(Record):
    """What a walk came to: the tree, its files and their bytes together, the newest of their times that is not in the
    future (seconds since 1970), what is not in it, and the files without their secrets."""

    tree: Digest
    files: int
    size: int
    newest: int
    left_out: tuple[Missing, ...]
    unread: tuple[Missing, ...]
    secrets: tuple[Secret, ...]
    package_folders: tuple[bytes, ...]
    """Where packages of Python and Node lie."""


class Walk:
    """One walk. `load` gives a directory of an earlier capture and `save` keeps one; `remember` is given what is known
    of each directory that is not as it was, and `gone` gets those that are no more; `promise` is given the path and
    entry of each file whose content is left to its package, and `report` the number of files."""

    def __init__(
        self,
        root: int,
        left_out: LeftOut,
        mounts: frozenset[bytes],
        known: KnownDirectories,
        readers: Readers,
        load: Load,
        save: Save,
        remember: Callable[[bytes, KnownDirectory], None],
        promise: Callable[[bytes, Entry], None],
        report: Callable[[int], None],
    ) -> None:
        self._root = root
        self._left_out = left_out
        self._mounts = mounts
        self._known = known
        self._readers = readers
        self._load = load
        self._save = save
        self._remember = remember
        self._promise = promise
        self._report = report
        self._now = time.time_ns()
        self._files = 0
        self._size = 0
        self._newest = 0
        self._package_folders: list[bytes] = []
        self._missing: list[Missing] = []
        self._unread: list[Missing] = []
        self._secrets: list[Secret] = []
        self._again: list[tuple[PendingDirectory, File]] = []
        self._tree = ""
        self.gone: list[bytes] = []

    def run(self) -> Walked:
        """Walk from the root. Raises OSError where the store can't be used, ChildKilled and StoreDamaged."""
        status = os.fstat(self._root)
        xattrs, _ = read_xattrs(self._root)
        root = PendingDirectory(None, b"", b"", None, NO_MARK, self._known.get(b""))
        root.add(self._directory_entry(ROOT_NAME, status, xattrs))
        self._list(root, self._root, status, Inside(), 0)
        self._readers.flush()
        while self._again:
            again, self._again = self._again, []
            for directory, file in again:
                self._retry(directory, file)
            self._readers.flush()
        assert self._tree, "a directory was not put together"
        return Walked(
            self._tree,
            self._files,
            self._size,
            self._newest // _SECOND,
            tuple(self._missing),
            tuple(self._unread),
            tuple(self._secrets),
            tuple(self._package_folders),
        )

    def _list(
        self, directory: PendingDirectory, opened: int, status: os.stat_result, above: Inside, depth: int
    ) -> None:
        """Take what is in an open directory."""
        inside = self._left_out.inside(directory.path, above)
        folders: list[str] = []
        with os.scandir(opened) as items:
            listed = list(items) if inside.is_looked_at else list(islice(items, 1))
        if inside.is_looked_at and self._left_out.is_store(directory.path, listed):
            inside = Inside(STORE)
        if inside.is_looked_at:
            self._take_items(directory, opened, listed, inside, folders)
        elif listed:
            self._missing.append(Missing(_below(directory.path, b"*"), inside.reason))
        for text in folders:
            self._enter(directory, opened, text, status, inside, depth + 1)
        if directory.known is not None:
            gone = directory.known.directories - directory.directories
            self.gone += [_below(directory.path, os.fsencode(text)) for text in gone]
        self._report(self._files)
        self._settle(directory)

    def _take_items(
        self,
        directory: PendingDirectory,
        opened: int,
        items: list[os.DirEntry[str]],
        inside: Inside,
        folders: list[str],
    ) -> None:
        """Take all that is no directory of what lies in one; put the names of the directories into `folders`."""
        known = directory.known
        known_marks = {} if known is None else known.marks
        known_left = {} if known is None else known.left
        marks, path = directory.marks, directory.path
        files: list[tuple[File, int]] = []
        while items:
            if len(files) == MAX_FILES:
                self._submit(directory, opened, files)
                files = []
            item = items.pop()  # it keeps its status, which is more than all that is needed of it
            text = item.name
            name = os.fsencode(text)
            try:
                if text in known_left and item.is_dir(follow_symlinks=False) == known_left[text][1]:
                    self._leave(directory, text, *known_left[text])
                    continue
                status = item.stat(follow_symlinks=False)
                kind = stat.S_IFMT(status.st_mode)
                if kind == stat.S_IFDIR:
                    if reason := self._left_out.reason(_below(path, name), True, inside):
                        self._leave(directory, text, reason, True)
                    else:
                        folders.append(text)
                    continue
                mark = status.st_ino, status.st_size, status.st_mtime_ns, status.st_ctime_ns
                if text in known_marks and known_marks[text] == mark:
                    assert known is not None
                    marks[text] = mark
                    directory.add_same(name)
                    if text in known.secrets:
                        self._note_secret(directory, text, known.secrets[text])
                    self._count(kind == stat.S_IFREG, status.st_size, status.st_mtime_ns)
                elif reason := self._left_out.reason(_below(path, name), False, inside):
                    self._leave(directory, text, reason, False)
                elif kind == stat.S_IFREG:
                    files.append((self._file(name, status, 0), status.st_size))
                elif entry := self._other(opened, directory, name, status):
                    directory.add(entry)
                    self._count(False, 0, status.st_mtime_ns)
                    if self._now - max(mark[2:]) > RACY_NANOSECONDS:
                        marks[text] = mark
            except OSError as error:
                self._fail(_below(path, name), error)
        self._submit(directory, opened, files)

    def _submit(self, directory: PendingDirectory, opened: int, files: list[tuple[File, int]]) -> None:
        directory.waiting += len(files)
        self._readers.submit(opened, directory.path, files, partial(self._read, directory))

    def _file(self, name: bytes, status: os.stat_result, attempt: int) -> File:
        owner, group = self._readers.id_kept(status.st_uid), self._readers.id_kept(status.st_gid)
        return name, owner, group, status.st_ino, status.st_ctime_ns, attempt

    def _read(self, directory: PendingDirectory, file: File, answer: Answer) -> None:
        """Take what reading a file came to."""
        name, owner, group = file[:3]
        if answer[0] == CHANGED:
            self._again.append((directory, file))
            return
        if answer[0] == TAKEN:
            _, mode, mtime, size, digest, xattrs, mark, secret, shipped, changed = answer
            entry = Entry(name, FILE, mode, owner, group, mtime, size, digest, b"", xattrs)
            directory.add(entry)
            if shipped:
                self._promise(_below(directory.path, name), entry)
            self._count(True, size if secret is None else secret[0], mtime)
            if mark is not None:
                directory.marks[os.fsdecode(name)] = mark
            if secret is not None:
                self._note_secret(directory, os.fsdecode(name), secret)
            if changed:
                self._unread.append(Missing(_below(directory.path, name), CHANGING))
        elif answer[0] == UNREAD:
            self._unread.append(Missing(_below(directory.path, name), answer[1]))
        self._settle(directory)

    def _retry(self, directory: PendingDirectory, file: File) -> None:
        """Have a file read again that changed; it may be something else by now, or gone."""
        name, attempt = file[0], file[5]
        path = _below(directory.path, name)
        try:
            beneath = RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS
            opened = openat2(self._root, os.fsdecode(directory.path) or ".", _DIRECTORY, beneath)
        except OSError as error:
            self._fail(path, error)
            self._settle(directory)
            return
        files: list[tuple[File, int]] = []
        try:
            try:
                status = os.stat(name, dir_fd=opened, follow_symlinks=False)
                if stat.S_ISREG(status.st_mode):
                    files.append((self._file(name, status, attempt + 1), status.st_size))
                elif stat.S_ISDIR(status.st_mode):
                    self._unread.append(Missing(path, CHANGING))
                elif entry := self._other(opened, directory, name, status):
                    directory.add(entry)
            except OSError as error:
                self._fail(path, error)
            if files:
                self._readers.submit(opened, directory.path, files, partial(self._read, directory))
            else:
                self._settle(directory)
        finally:
            os.close(opened)

    def _enter(
        self,
        directory: PendingDirectory,
        opened: int,
        text: str,
        above: os.stat_result,
        inside: Inside,
        depth: int,
    ) -> None:
        """Take a directory in an open one."""
        name = os.fsencode(text)
        path = _below(directory.path, name)
        try:
            inner = os.open(name, _DIRECTORY, dir_fd=opened)
        except OSError as error:
            self._fail(path, error)
            if error.errno == errno.EACCES:
                self._add_closed(directory, opened, name)
            return
        try:
            status = os.fstat(inner)
            self._count(False, 0, status.st_mtime_ns)
            known = self._known.get(path)
            mark = mark_of(status)
            if self._now - max(mark[2:]) <= RACY_NANOSECONDS:
                mark = NO_MARK
            entry = None
            is_known = known is not None and directory.known is not None and text in directory.known.directories
            if known is None or not is_known or mark == NO_MARK or mark != known.mark:
                xattrs, _ = read_xattrs(inner)
                entry = self._directory_entry(name, status, xattrs)
            pending = PendingDirectory(directory, name, path, entry, mark, known)
            directory.waiting += 1
            directory.directories.add(text)
            if depth > MAX_DEPTH:
                self._unread.append(Missing(path, f"directories are nested deeper than {MAX_DEPTH}"))
                self._settle(pending)
            elif self._is_elsewhere(path, status, above):
                self._missing.append(Missing(_below(path, b"*"), OTHER_FILES))
                self._settle(pending)
            else:
                if name in PACKAGE_FOLDERS:
                    self._package_folders.append(path)
                self._list(pending, inner, status, inside, depth)
        finally:
            os.close(inner)

    def _add_closed(self, directory: PendingDirectory, opened: int, name: bytes) -> None:
        """Take a directory that may not be opened: as an empty one."""
        try:
            status = os.stat(name, dir_fd=opened, follow_symlinks=False)
        except OSError:
            return
        if stat.S_ISDIR(status.st_mode):
            directory.add(self._directory_entry(name, status, ())._replace(digest=self._save(())))

    def _is_elsewhere(self, path: bytes, status: os.stat_result, above: os.stat_result) -> bool:
        """Tell whether another file system begins at a directory, and nobody asked for it."""
        return (status.st_dev != above.st_dev or path in self._mounts) and not self._left_out.is_included(path)

    def _settle(self, directory: PendingDirectory | None) -> None:
        """Note that something of a directory is known by now; the last makes it whole, and so its parent, perhaps."""
        while directory is not None:
            directory.waiting -= 1
            if directory.waiting:
                return
            anew = directory.path in ABOVE_RECORD
            digest, row = directory.finish(self._load, self._save, anew=anew)
            if anew or row != directory.known:
                self._remember(directory.path, row)
            parent = directory.parent
            if parent is None:
                self._tree = digest
            elif directory.entry is not None:
                parent.add(directory.entry._replace(digest=digest))
            elif directory.is_same(digest) and not anew:
                parent.add_same(directory.name)
            else:
                parent.add_digest(directory.name, digest)
            directory = parent

    def _other(self, opened: int, directory: PendingDirectory, name: bytes, status: os.stat_result) -> Entry | None:
        """Return the entry of a link, a device or a FIFO; None for what is none of these."""
        owner, group = self._readers.id_kept(status.st_uid), self._readers.id_kept(status.st_gid)
        if stat.S_ISLNK(status.st_mode):
            target = os.readlink(name, dir_fd=opened)
            return Entry(name, LINK, 0o777, owner, group, status.st_mtime_ns, 0, "", target)
        kind = _KINDS.get(stat.S_IFMT(status.st_mode))
        if kind is None or (kind == CHARACTER_DEVICE and status.st_rdev == 0):
            # Sockets are made by who listens. The device 0:0 is how overlayfs says that something is removed.
            self._leave(directory, os.fsdecode(name), "a socket" if kind is None else "a mark of overlayfs", False)
            return None
        target = b"" if kind == FIFO else b"%d:%d" % (os.major(status.st_rdev), os.minor(status.st_rdev))
        mode = stat.S_IMODE(status.st_mode)
        return Entry(name, kind, mode, owner, group, status.st_mtime_ns, 0, "", target)

    def _directory_entry(self, name: bytes, status: os.stat_result, xattrs: tuple[tuple[bytes, bytes], ...]) -> Entry:
        owner, group = self._readers.id_kept(status.st_uid), self._readers.id_kept(status.st_gid)
        mode = stat.S_IMODE(status.st_mode)
        return Entry(name, DIRECTORY, mode, owner, group, status.st_mtime_ns, 0, "", b"", xattrs)

    def _leave(self, directory: PendingDirectory, text: str, reason: str, is_directory: bool) -> None:
        directory.left[text] = reason, is_directory
        self._missing.append(Missing(_below(directory.path, os.fsencode(text)), reason))

    def _note_secret(self, directory: PendingDirectory, text: str, secret: tuple[int, int | None, Digest]) -> None:
        directory.secrets[text] = secret
        self._secrets.append(Secret(_below(directory.path, os.fsencode(text)), *secret))

    def _fail(self, path: bytes, error: OSError) -> None:
        if error.errno not in _GONE:
            self._unread.append(Missing(path, os.strerror(error.errno or 0)))

    def _count(self, is_file: bool, size: int, mtime: int) -> None:
        if is_file:
            self._files += 1
            self._size += size
        if self._newest < mtime <= self._now:
            self._newest = mtime


def _below(path: bytes, name: bytes) -> bytes:
    return path + b"/" + name if path else name
