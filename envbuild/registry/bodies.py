"""Bodies of answers, read within limits of size and time."""

from __future__ import annotations

import time
from collections.abc import Iterator

from urllib3.exceptions import HTTPError

from envbuild.http.connections import Answer
from envbuild.registry.server import Patience


class TooMuch(Exception):
    """There is more of a body than there may be."""


class TooSlow(HTTPError):
    """So little comes that it is as if nothing came."""


def document(answer: Answer, most: int, patience: Patience) -> bytes:
    """Return a small body. Raises TooMuch, TooSlow and HTTPError."""
    if answer.length > most:
        raise TooMuch
    pieces = []
    size = 0
    end = time.monotonic() + patience.document
    for piece in answer.pieces():
        size += len(piece)
        if size > most:
            raise TooMuch
        if time.monotonic() > end:
            raise TooSlow(f"it is not whole after {patience.document:g} seconds")
        pieces.append(piece)
    return b"".join(pieces)


def stream(answer: Answer, most: int, patience: Patience) -> Iterator[bytes]:
    """Yield a large body of at most so many bytes. Raises TooMuch, TooSlow and HTTPError."""
    size = since = 0
    begun = time.monotonic()
    for piece in answer.pieces():
        size += len(piece)
        since += len(piece)
        if size > most:
            raise TooMuch
        now = time.monotonic()
        if now - begun > patience.window:
            if since < patience.window_bytes:
                raise TooSlow(f"fewer than {patience.window_bytes:,} bytes came in {patience.window:g} seconds")
            begun, since = now, 0
        yield piece
