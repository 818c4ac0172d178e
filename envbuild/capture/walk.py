"""The walk over a machine's files: every directory becomes entries as the machine has them.

Each name is opened relative to its own directory and as what it is, so that no link leads anywhere, whoever swaps what
while we look. What vanishes meanwhile is not there; what can't be read is noted, never passed over in silence.
"""

from __future__ import annotations

import errno
import os
import stat
import time
from collections.abc import Callable, Iterable

from envbuild.capture.left_out import OTHER_FILES, Inside, LeftOut
from envbuild.capture.state.package_folders import PACKAGE_FOLDERS
from envbuild.images.capture_record import Missing
from envbuild.linux.attributes import read_xattrs
from envbuild.record import Record
from envbuild.store.objects import Objects
from envbuild.tree.entry import (
    BLOCK_DEVICE,
    CHARACTER_DEVICE,
    DIRECTORY,
    FIFO,
    FILE,
    LINK,
    ROOT_NAME,
    Digest,
    Entry,
)

MAX_DEPTH = 400
"""Directories within directories: each is held open."""
_SECOND = 1_000_000_000
_DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_FILE = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC
_GONE = (errno.ENOENT, errno.ENOTDIR, errno.ELOOP)
"""What opening something says that was there a moment ago as another kind of thing."""
_KINDS = {stat.S_IFCHR: CHARACTER_DEVICE, stat.S_IFBLK: BLOCK_DEVICE, stat.S_IFIFO: FIFO}


class Walked(Record):
    """What a walk came to: the tree, its files and their bytes together, the newest of their times that is not in the
    future (seconds since 1970), and what is not in it."""

    tree: Digest
    files: int
    size: int
    newest: int
    left_out: tuple[Missing, ...]
    unread: tuple[Missing, ...]
    package_folders: tuple[bytes, ...]
    """Where packages of Python and Node lie."""


class Walk:
    """One walk. `save` keeps a directory's entries and returns its digest; `report` is given the number of files that
    were taken."""

    def __init__(
        self,
        left_out: LeftOut,
        mounts: frozenset[bytes],
        objects: Objects,
        save: Callable[[Iterable[Entry]], Digest],
        report: Callable[[int], None],
    ) -> None:
        self._left_out = left_out
        self._mounts = mounts
        self._objects = objects
        self._save = save
        self._report = report
        self._now = time.time_ns()
        self._files = 0
        self._size = 0
        self._newest = 0
        self._package_folders: list[bytes] = []
        self._missing: list[Missing] = []
        self._unread: list[Missing] = []

    def run(self, root: int) -> Walked:
        """Walk from the directory that is open as `root`. Raises OSError if it can't be read itself."""
        entries = self._listed(root, b"", os.fstat(root), Inside(), 0)
        xattrs, _ = read_xattrs(root)
        entries.append(_directory_entry(ROOT_NAME, os.fstat(root), "", xattrs))
        tree = self._save(entries)
        newest = self._newest // _SECOND
        return Walked(
            tree,
            self._files,
            self._size,
            newest,
            tuple(self._missing),
            tuple(self._unread),
            tuple(self._package_folders),
        )

    def _listed(self, folder: int, path: bytes, status: os.stat_result, above: Inside, depth: int) -> list[Entry]:
        """Return the entries of all that is taken of an open directory."""
        inside = self._left_out.inside(path)
        if not inside.reason and above.files_only:
            inside = above
        with os.scandir(folder) as items:
            if inside.reason and not inside.some_taken and not inside.files_only:
                if next(items, None) is not None:
                    self._missing.append(Missing(_below(path, b"*"), inside.reason))
                return []
            names = [item.name for item in items]
        entries = []
        for text in names:
            name = os.fsencode(text)
            inner = _below(path, name)
            try:
                entry = self._taken(folder, name, inner, status, inside, depth)
            except OSError as error:
                if error.errno not in _GONE:
                    self._unread.append(Missing(inner, os.strerror(error.errno or 0)))
                continue
            if entry is not None:
                entries.append(entry)
        return entries

    def _taken(
        self, folder: int, name: bytes, path: bytes, above: os.stat_result, inside: Inside, depth: int
    ) -> Entry | None:
        status = os.stat(name, dir_fd=folder, follow_symlinks=False)
        is_directory = stat.S_ISDIR(status.st_mode)
        if reason := self._left_out.reason(path, is_directory, inside):
            self._missing.append(Missing(path, reason))
            return None
        if is_directory:
            return self._directory(folder, name, path, above, inside, depth + 1)
        if stat.S_ISREG(status.st_mode):
            return self._file(folder, name, status)
        if stat.S_ISLNK(status.st_mode):
            target = os.readlink(name, dir_fd=folder)
            self._note(status)
            return Entry(name, LINK, 0o777, status.st_uid, status.st_gid, status.st_mtime_ns, 0, "", target)
        return self._special(name, path, status)

    def _directory(
        self, folder: int, name: bytes, path: bytes, above: os.stat_result, inside: Inside, depth: int
    ) -> Entry:
        try:
            opened = os.open(name, _DIRECTORY, dir_fd=folder)
        except PermissionError as error:
            self._unread.append(Missing(path, str(error.strerror)))
            status = os.stat(name, dir_fd=folder, follow_symlinks=False)
            return _directory_entry(name, status, self._save(()), ())
        try:
            status = os.fstat(opened)
            self._note(status)
            entries: list[Entry] = []
            if depth > MAX_DEPTH:
                self._unread.append(Missing(path, f"directories are nested deeper than {MAX_DEPTH}"))
            elif self._is_elsewhere(path, status, above):
                self._missing.append(Missing(_below(path, b"*"), OTHER_FILES))
            else:
                if name in PACKAGE_FOLDERS:
                    self._package_folders.append(path)
                entries = self._listed(opened, path, status, inside, depth)
            xattrs, _ = read_xattrs(opened)
            return _directory_entry(name, status, self._save(entries), xattrs)
        finally:
            os.close(opened)

    def _is_elsewhere(self, path: bytes, status: os.stat_result, above: os.stat_result) -> bool:
        """Tell whether another file system begins at a directory, and nobody asked for it."""
        return (status.st_dev != above.st_dev or path in self._mounts) and not self._left_out.is_included(path)

    def _file(self, folder: int, name: bytes, listed: os.stat_result) -> Entry | None:
        opened = os.open(name, _FILE, dir_fd=folder)
        try:
            status = os.fstat(opened)
            if not stat.S_ISREG(status.st_mode):
                return None
            xattrs, _ = read_xattrs(opened)
            mode, owner, group = stat.S_IMODE(status.st_mode), listed.st_uid, listed.st_gid
            entry = Entry(name, FILE, mode, owner, group, status.st_mtime_ns, status.st_size, "", b"", xattrs)
            entry = self._objects.add(entry, opened)
        finally:
            os.close(opened)
        self._note(status)
        self._files += 1
        self._size += entry.size
        self._report(self._files)
        return entry

    def _special(self, name: bytes, path: bytes, status: os.stat_result) -> Entry | None:
        kind = _KINDS.get(stat.S_IFMT(status.st_mode))
        if kind is None or (kind == CHARACTER_DEVICE and status.st_rdev == 0):
            # Sockets are made by who listens. The device 0:0 is how overlayfs says that something is removed.
            self._missing.append(Missing(path, "a socket" if kind is None else "a mark of overlayfs"))
            return None
        target = b"" if kind == FIFO else b"%d:%d" % (os.major(status.st_rdev), os.minor(status.st_rdev))
        mode = stat.S_IMODE(status.st_mode)
        return Entry(name, kind, mode, status.st_uid, status.st_gid, status.st_mtime_ns, 0, "", target)

    def _note(self, status: os.stat_result) -> None:
        if self._newest < status.st_mtime_ns <= self._now:
            self._newest = status.st_mtime_ns


def _directory_entry(
    name: bytes, status: os.stat_result, digest: Digest, xattrs: tuple[tuple[bytes, bytes], ...]
) -> Entry:
    mode = stat.S_IMODE(status.st_mode)
    return Entry(name, DIRECTORY, mode, status.st_uid, status.st_gid, status.st_mtime_ns, 0, digest, b"", xattrs)


def _below(path: bytes, name: bytes) -> bytes:
    return path + b"/" + name if path else name
