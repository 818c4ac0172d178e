"""Answers whose head has to come in time. A socket's own limit is for each read: a server that sends a byte a second
would be waited for without an end."""

from __future__ import annotations

import io
import socket
import time
from http.client import HTTPResponse
from typing import Any, cast

SECONDS = 60.0
"""Where the socket has no limit of its own."""


class _Timed(io.RawIOBase):
    """What comes from a socket. Once `end` (time.monotonic) has passed, nothing more is read."""

    def __init__(self, raw: io.RawIOBase) -> None:
        super().__init__()
        self._raw = raw
        self.end: float | None = None

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any, /) -> int | None:
        if self.end is not None and time.monotonic() > self.end:
            raise TimeoutError("timed out: it sends almost nothing")
        return cast("int | None", self._raw.readinto(buffer))

    def close(self) -> None:
        self._raw.close()
        super().close()


class TimedResponse(HTTPResponse):
    """An answer whose head, and each piece of whose body, comes whole within the limit that its socket has for a read.
    Raises TimeoutError, which urllib3 takes for its own."""

    def __init__(self, sock: socket.socket, *args: Any, **options: Any) -> None:
        super().__init__(sock, *args, **options)
        self._seconds = sock.gettimeout() or SECONDS
        self._timed = _Timed(self.fp.detach())
        self.fp = io.BufferedReader(self._timed)

    def begin(self) -> None:
        self._timed.end = time.monotonic() + self._seconds
        super().begin()
        self._timed.end = None

    def read1(self, n: int = -1) -> bytes:
        self._timed.end = time.monotonic() + self._seconds
        try:
            return super().read1(n)
        finally:
            self._timed.end = None
