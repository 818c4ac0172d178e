"""git's ids of contents (gitformat-pack(5)), computed without git."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable


def content_id(size: int, chunks: Iterable[bytes], like: str) -> str:
    """Return git's id of a content: SHA-1, or SHA-256 if the repository uses that, as the id `like`."""
    state = hashlib.sha256() if len(like) == 64 else hashlib.sha1(usedforsecurity=False)
    state.update(b"blob %d\0" % size)
    for chunk in chunks:
        state.update(chunk)
    return state.hexdigest()
