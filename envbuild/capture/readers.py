"""The reader processes of a capture, as the walk sees them: it hands files over and is called with the answers."""

from __future__ import annotations

import marshal
import os
import select
import signal
import socket
from collections import deque
from collections.abc import Callable
from typing import Any, Self

from envbuild.capture.reader_process import FAILED, HEAD, MAX_DESCRIPTORS, Answer, Reading, read_files
from envbuild.linux.forked import ChildKilled
from envbuild.sandbox.user_namespace import RANGE

MAX_READERS = 4
MAX_OUTSTANDING = 4
"""Jobs of one reader: enough that it never waits, and so few that sending them never does."""
MAX_FILES = 64
"""Files in a job."""
MAX_BYTES = 8 << 20
"""Bytes after which a job is sent; one file may have more."""
MAX_PATHS = 16 << 10
"""Bytes of paths after which a job is sent."""
MAX_PATH = 4096
"""Bytes of the end of a path that a reader is told: no program opens a longer one by its path (PATH_MAX, limits.h)."""
_BUFFER = 425_984
"""Bytes that a socket holds: more than all jobs that are outstanding."""
NOBODY = 65534

File = tuple[bytes, int, int, int, int, int]
"""Name, owner, group, inode, time of change and attempt."""
Done = Callable[[File, Answer], None]


class _Reader:
    def __init__(self, reading: Reading, others: list[_Reader]) -> None:
        jobs, inner = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        jobs.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, _BUFFER)
        answers, writing = os.pipe2(os.O_CLOEXEC)
        self.pid = os.fork()
        if self.pid == 0:
            code = 1
            try:
                jobs.close()
                for other in others:
                    other.jobs.close()  # or the end of this process's parent would not end it
                read_files(inner, writing, reading)
                code = 0
            except BrokenPipeError:
                pass  # the walk is no more
            finally:
                os._exit(code)
        inner.close()
        os.close(writing)
        self.jobs: socket.socket = jobs
        self.answers = answers
        self.outstanding: deque[list[tuple[list[File], Done]]] = deque()
        self.load = 0
        self.loads: deque[int] = deque()

    def receive(self) -> Any:
        """Return the next answer. Raises ChildKilled and OSError."""
        (length,) = HEAD.unpack(self._exactly(HEAD.size))
        answer = marshal.loads(self._exactly(length))
        if isinstance(answer, tuple) and answer[:1] == (FAILED,):
            raise OSError(answer[1], answer[2], answer[3] or None)
        return answer

    def _exactly(self, size: int) -> bytes:
        pieces = []
        while size:
            piece = os.read(self.answers, min(size, 1 << 20))
            if not piece:
                raise ChildKilled(os.waitpid(self.pid, 0)[1])
            pieces.append(piece)
            size -= len(piece)
        return b"".join(pieces)

    def end(self, *, kill: bool) -> None:
        self.jobs.close()
        os.close(self.answers)
        if kill:
            try:
                os.kill(self.pid, signal.SIGKILL)
            except ProcessLookupError:
                pass
        try:
            os.waitpid(self.pid, 0)
        except ChildProcessError:
            pass


class Readers:
    """Reader processes, one for each processor. Use it as a context manager, in a process with one thread."""

    def __init__(self, reading: Reading) -> None:
        self._readers: list[_Reader] = []
        self._directories: list[tuple[int, bytes, list[File], Done]] = []
        self._files = self._bytes = self._paths = 0
        for _ in range(min(MAX_READERS, len(os.sched_getaffinity(0)))):
            self._readers.append(_Reader(reading, self._readers))
        self._poll = select.poll()
        for reader in self._readers:
            self._poll.register(reader.answers, select.POLLIN)
        self._by_descriptor = {reader.answers: reader for reader in self._readers}
        self._ids: int | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: object, *_: object) -> None:
        for opened, *_others in self._directories:
            os.close(opened)
        self._directories = []
        for reader in self._readers:
            reader.end(kill=kind is not None)

    def begin(self) -> None:
        """Wait until they are ready. Raises ChildKilled."""
        answers = [reader.receive() for reader in self._readers]
        self._ids = next((count for kind, count in answers if kind == RANGE), None)

    def id_kept(self, number: int) -> int:
        """Return what an owner's number is in the store: an ordinary user has only so many to give to files, and what
        is beyond them is nobody's."""
        return number if self._ids is None or number < self._ids else NOBODY

    def submit(self, folder: int, path: bytes, files: list[tuple[File, int]], done: Done) -> None:
        """Have files of an open directory read, given with their sizes; `done` is called with each and its answer, now
        or later. Raises ChildKilled and OSError."""
        batch: list[File] = []
        for file, size in files:
            batch.append(file)
            self._files += 1
            self._bytes += size
            if self._files >= MAX_FILES or self._bytes >= MAX_BYTES:
                self._add(folder, path, batch, done)
                batch = []
                self._send()
        if batch:
            self._add(folder, path, batch, done)
            if len(self._directories) == MAX_DESCRIPTORS or self._paths >= MAX_PATHS:
                self._send()
        self._receive(wait=False)

    def flush(self) -> None:
        """Wait until everything is read. Raises ChildKilled and OSError."""
        while self._directories or any(reader.outstanding for reader in self._readers):
            self._send()
            self._receive(wait=True)

    def keep(self) -> None:
        """Put all that was read into the pool. Raises ChildKilled and OSError."""
        self.flush()
        for number, reader in enumerate(self._readers):
            reader.jobs.send(marshal.dumps(("keep", number, len(self._readers))))
        for reader in self._readers:
            reader.receive()

    def _add(self, folder: int, path: bytes, batch: list[File], done: Done) -> None:
        self._directories.append((os.dup(folder), path[-MAX_PATH:], batch, done))
        self._paths += min(len(path), MAX_PATH)

    def _send(self) -> None:
        if not self._directories:
            return
        reader = min(self._readers, key=lambda reader: reader.load)
        while len(reader.outstanding) >= MAX_OUTSTANDING:
            self._receive(wait=True)
            reader = min(self._readers, key=lambda reader: (len(reader.outstanding) >= MAX_OUTSTANDING, reader.load))
        rows = [(path, files) for _, path, files, _ in self._directories]
        opened = [descriptor for descriptor, *_ in self._directories]
        try:
            socket.send_fds(reader.jobs, [marshal.dumps(("read", rows))], opened)
        except BrokenPipeError:
            reader.receive()  # says how it ended
            raise
        load = self._bytes + self._files * 16384
        reader.load += load
        reader.loads.append(load)
        reader.outstanding.append([(files, done) for _, _, files, done in self._directories])
        self._directories = []
        self._files = self._bytes = self._paths = 0
        for descriptor in opened:
            os.close(descriptor)

    def _receive(self, *, wait: bool) -> None:
        """Take answers that are there; with `wait`, at least one if any is to come."""
        if not any(reader.outstanding for reader in self._readers):
            return
        for descriptor, _ in self._poll.poll(None if wait else 0):
            reader = self._by_descriptor[descriptor]
            if not reader.outstanding:
                raise ChildKilled(os.waitpid(reader.pid, 0)[1])
            answers = reader.receive()
            reader.load -= reader.loads.popleft()
            for (files, done), row in zip(reader.outstanding.popleft(), answers, strict=True):
                for file, answer in zip(files, row, strict=True):
                    done(file, answer)
