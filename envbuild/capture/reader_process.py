"""A process that reads files of a capture: beside the walk, on another processor, and inside the user namespace, where
files can be given the owners that they have on the machine.

It opens each name in the directory that it was given, as a plain file and never through a link. The owner of the host's
files doesn't show in the namespace: the walk says it, and whether the file is the one that the walk saw, its inode and
its change time decide.
"""

from __future__ import annotations

import errno
import marshal
import os
import signal
import socket
import stat
import struct
import time
from typing import Any

from envbuild.capture.light_files import LightFiles
from envbuild.capture.redaction import Redaction
from envbuild.capture.staged_contents import StagedContents, keep
from envbuild.linux.attributes import read_xattrs
from envbuild.linux.sparse_files import Allowance, TooSparse
from envbuild.record import Record
from envbuild.sandbox.user_namespace import SINGLE, IdMap, NoUserNamespace, enter_user_namespace
from envbuild.tree.entry import FILE, Entry

TAKEN, UNREAD, GONE, CHANGED, FAILED = range(5)
"""The first of each answer: a content, why there is none, that the file is no more, that it is another than the walk
saw or changed while it was read, and an error of this process."""
LAST_ATTEMPT = 2
"""The attempt, from 0, that takes a file as it is read, though it changes."""
CHANGING = "it changed while it was read"
RACY_NANOSECONDS = 100_000_000
"""A file changed this shortly before it was read may change again without a new time stamp: not remembered."""
MAX_MESSAGE = 1 << 17
MAX_DESCRIPTORS = 32
"""Directories in one message (SCM_MAX_FD is 253, unix(7))."""
MAX_LINKED = 50_000
"""Files with several names whose answer is kept for the others."""
HEAD = struct.Struct("<I")
_OPEN = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC
_GONE = (errno.ENOENT, errno.ENOTDIR, errno.ELOOP, errno.ENXIO, errno.ENODEV)
_DISK = (errno.ENOSPC, errno.EDQUOT, errno.EROFS)

Answer = tuple[Any, ...]


class Reading(Record):
    """What all readers of a capture know: the folder for what they read, the pool, bytes of holes that are taken, the
    secrets, and the files whose contents are left to packages."""

    folder: str
    pool: str
    holes: int | None
    redaction: Redaction
    light: LightFiles | None = None


def read_files(jobs: socket.socket, answers: int, reading: Reading) -> None:
    """Do what comes in on `jobs`, until its other end is closed, and write answers.

    A job is ("read", [(path, [(name, uid, gid, inode, ctime, attempt)])]) with a descriptor for each directory, or
    ("keep", part, of). The first answer is the kind and count of ids.
    """
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    ids = _entered()
    _answer(answers, (ids.kind, ids.count))
    allowance = Allowance(reading.holes)
    staged = StagedContents(reading.folder, reading.pool, allowance, owners=ids.kind != SINGLE)
    reader = _Reader(staged, reading.redaction, reading.light)
    while True:
        message, descriptors, _, _ = socket.recv_fds(jobs, MAX_MESSAGE, MAX_DESCRIPTORS)
        if not message:
            return
        kind, *values = marshal.loads(message)
        try:
            if kind == "keep":
                keep(reading.folder, reading.pool, *values)
                _answer(answers, ())
            else:
                _answer(answers, [reader.files(*row) for row in zip(descriptors, *values, strict=True)])
        except OSError as error:
            # Of the store, not of what is read: the disk is full, or somebody took the folder away.
            _answer(answers, (FAILED, error.errno or 0, error.strerror or "", os.fsdecode(error.filename or "")))
        finally:
            for descriptor in descriptors:
                os.close(descriptor)


def _entered() -> IdMap:
    try:
        return enter_user_namespace()
    except NoUserNamespace as error:
        return IdMap(SINGLE, 1, error.reason)


def _answer(pipe: int, answer: Any) -> None:
    data = marshal.dumps(answer)
    view = memoryview(HEAD.pack(len(data)) + data)
    while view:
        view = view[os.write(pipe, view) :]


class _Reader:
    def __init__(self, staged: StagedContents, redaction: Redaction, light: LightFiles | None) -> None:
        self._staged = staged
        self._light = light
        self._redaction = redaction
        self._linked: dict[tuple[int, int, int], Answer] = {}
        # Only root and owners may read without changing the time of access.
        self._flags = _OPEN | (os.O_NOATIME if os.geteuid() == 0 else 0)

    def files(self, folder: int, row: tuple[bytes, list[tuple[Any, ...]]]) -> list[Answer]:
        """Return the answers for the files of one directory."""
        path, files = row
        return [self._file(folder, path, *file) for file in files]

    def _file(
        self, folder: int, path: bytes, name: bytes, uid: int, gid: int, inode: int, ctime: int, attempt: int
    ) -> Answer:
        try:
            opened = self._open(folder, name)
        except OSError as error:
            return (GONE,) if error.errno in _GONE else (UNREAD, os.strerror(error.errno or 0))
        try:
            begun = time.time_ns()
            status = os.fstat(opened)
            same = status.st_ino == inode and status.st_ctime_ns == ctime
            if not stat.S_ISREG(status.st_mode) or (attempt < LAST_ATTEMPT and not same):
                return (CHANGED,)
            link = (status.st_dev, inode, ctime)
            if status.st_nlink > 1 and link in self._linked:
                return self._linked[link]
            answer = self._read(opened, path + b"/" + name if path else name, status, uid, gid, begun)
            if answer[-1] and attempt < LAST_ATTEMPT:
                return (CHANGED,)
            if status.st_nlink > 1 and len(self._linked) < MAX_LINKED:
                self._linked[link] = answer
            return answer
        except OSError as error:
            if error.errno in _DISK:
                raise
            return (UNREAD, os.strerror(error.errno or 0))
        except TooSparse as error:
            return (UNREAD, error.message)
        finally:
            os.close(opened)

    def _open(self, folder: int, name: bytes) -> int:
        try:
            return os.open(name, self._flags, dir_fd=folder)
        except PermissionError:
            if self._flags == _OPEN:
                raise
            return os.open(name, _OPEN, dir_fd=folder)

    def _read(self, opened: int, path: bytes, status: os.stat_result, uid: int, gid: int, begun: int) -> Answer:
        xattrs, _ = read_xattrs(opened)
        entry = Entry(b"", FILE, stat.S_IMODE(status.st_mode), uid, gid, status.st_mtime_ns, 0, "", b"", xattrs)
        redacted = self._redaction.redacted(path, status, opened)
        os.lseek(opened, 0, os.SEEK_SET)
        shipped = self._light.take(path, entry, opened) if self._light is not None and redacted is None else None
        if redacted is not None:
            entry = self._staged.add_bytes(entry, redacted.content)
        else:
            entry = shipped or self._staged.add(entry, opened, status)
        secret = None if redacted is None else (status.st_size, redacted.values, redacted.digest)
        after = os.fstat(opened)
        mark = mark_of(status)
        changed = mark != mark_of(after) or (redacted is None and entry.size != status.st_size)
        kept = None if changed or begun - max(mark[2:]) <= RACY_NANOSECONDS else mark
        return (
            TAKEN,
            entry.mode,
            entry.mtime,
            entry.size,
            entry.digest,
            xattrs,
            kept,
            secret,
            shipped is not None,
            changed,
        )


def mark_of(status: os.stat_result) -> tuple[int, int, int, int]:
    """Return what changes with a file: inode, size, time of content and time of change."""
    return status.st_ino, status.st_size, status.st_mtime_ns, status.st_ctime_ns
