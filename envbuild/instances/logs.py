"""The log of an instance: lines with their time and stream, in rotating files."""

from __future__ import annotations

import errno
import os
import threading
import time
from collections.abc import Iterator

MAX_BYTES = 10 << 20
"""Bytes of one file; the one before is kept as `log.1`."""
_CHUNK = 1 << 16
OUT, ERR = "out", "err"


class LogWriter:
    """Reads what a command prints from pipes and appends it, line by line: `TIME STREAM TEXT`, the time in seconds
    since 1970 with six digits behind the point.

    The command never waits for the disk to have room again: lines that cannot be written are dropped, and as soon as
    something can be, a line says how many they were.
    """

    def __init__(self, path: str) -> None:
        self._path = path
        self._lock = threading.Lock()
        self._file = open(path, "ab", buffering=0)  # noqa: SIM115 - held as long as the instance lives
        self._size = os.fstat(self._file.fileno()).st_size
        self._threads: list[threading.Thread] = []
        self._dropped = 0
        self._reason = ""
        self._torn = False

    def follow(self, descriptor: int, stream: str) -> None:
        """Take over the reading end of a pipe, until its last writer is gone."""
        thread = threading.Thread(target=self._read, args=(descriptor, stream), name=f"log {stream}", daemon=True)
        thread.start()
        self._threads.append(thread)

    def finish(self) -> None:
        """Wait until all that was printed is written."""
        for thread in self._threads:
            thread.join()
        self._threads.clear()

    def close(self) -> None:
        """Close the log."""
        self._file.close()

    def write(self, stream: str, lines: list[bytes]) -> None:
        """Append whole lines."""
        head = f"{time.time():.6f} {stream} ".encode()
        data = b"".join(head + line + b"\n" for line in lines)
        with self._lock:
            try:
                self._make_room(len(data))
                if self._dropped:
                    self._append(_marker(self._dropped, self._reason))
                    self._dropped = 0
                self._append(data)
            except OSError as error:
                self._dropped += len(lines)
                self._reason = error.strerror or str(error)

    def _make_room(self, more: int) -> None:
        """Begin another file where this one would grow too large. The one that is open stays if that fails."""
        if not self._size or self._size + more <= MAX_BYTES:
            return
        self._turn()

    def _turn(self) -> None:
        following = open(f"{self._path}.new", "ab", buffering=0)  # noqa: SIM115
        try:
            os.replace(self._path, f"{self._path}.1")
            os.replace(f"{self._path}.new", self._path)
        except OSError:
            following.close()
            raise
        self._file.close()
        self._file, self._size, self._torn = following, 0, False

    def _append(self, data: bytes) -> None:
        try:
            self._append_whole(data)
        except OSError as error:
            if error.errno != errno.EFBIG or not self._size:
                raise
            # A limit on the size of files (setrlimit(2), RLIMIT_FSIZE) that is smaller than ours.
            self._turn()
            self._append_whole(data)

    def _append_whole(self, data: bytes) -> None:
        view = memoryview(b"\n" + data if self._torn else data)
        while view:
            # A disk that is nearly full takes a part of it.
            written = os.write(self._file.fileno(), view)
            self._size += written
            view = view[written:]
            self._torn = bool(view)

    def _read(self, descriptor: int, stream: str) -> None:
        rest = b""
        while chunk := os.read(descriptor, _CHUNK):
            *lines, rest = (rest + chunk).split(b"\n")
            if lines:
                self.write(stream, lines)
            if len(rest) > MAX_BYTES // 10:
                # A line without an end must not fill the memory.
                self.write(stream, [rest])
                rest = b""
        if rest:
            self.write(stream, [rest])
        os.close(descriptor)


def _marker(lines: int, reason: str) -> bytes:
    count = "a line was" if lines == 1 else f"{lines} lines were"
    return f"{time.time():.6f} {ERR} [envbuild: {count} lost here: {reason}]\n".encode()


def entries(path: str, *, follow: bool = False, alive: object = None) -> Iterator[tuple[float, str, bytes]]:
    """Return (time, stream, line) of all that is kept, the oldest first.

    With `follow` it goes on as long as `alive()`, a function without arguments, says so.
    """
    for part in (f"{path}.1", path):
        if os.path.exists(part):
            if part == path:
                yield from _tail(part, follow, alive)
            else:
                with open(part, "rb") as file:
                    yield from (_entry(line) for line in file if line.endswith(b"\n"))


def _tail(path: str, follow: bool, alive: object) -> Iterator[tuple[float, str, bytes]]:
    assert alive is None or callable(alive)
    file = open(path, "rb")  # noqa: SIM115 - may be changed for its successor
    try:
        rest = b""
        while True:
            # Both asked before it is read to its end: what is written after that is for the next round.
            living = bool(alive()) if callable(alive) else False
            followed = _follows(path, file.fileno())
            while line := file.readline():
                rest += line
                if rest.endswith(b"\n"):
                    yield _entry(rest)
                    rest = b""
            if not follow:
                return
            if followed:
                file.close()
                file = open(path, "rb")  # noqa: SIM115
                continue
            if not living:
                return
            time.sleep(0.05)
    finally:
        file.close()


def _follows(path: str, descriptor: int) -> bool:
    """Tell whether another file has taken the place of the one that is open; a removed instance has none."""
    try:
        return os.stat(path).st_ino != os.fstat(descriptor).st_ino
    except FileNotFoundError:
        return False


def _entry(line: bytes) -> tuple[float, str, bytes]:
    """Return the parts of a line.

    One that was cut off, or that a loss of power has damaged, is all text, of no known time.
    """
    whole = line.rstrip(b"\n").lstrip(b"\0")
    try:
        moment, stream, text = whole.split(b" ", 2)
        if stream in (OUT.encode(), ERR.encode()):
            return float(moment), stream.decode(), text
    except ValueError:
        pass
    return 0.0, OUT, whole
