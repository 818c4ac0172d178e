"""What stands in a capture in the place of a secret: a line for the content of a file, a word for a value in it.

Both have an HMAC-SHA256 of the secret under a random key of the store that never leaves it. So one store's captures say
whether a secret changed and whether two are equal, and nobody who gets a capture can try passwords against it.
"""

from __future__ import annotations

import re

from envbuild.record import Record

_CONTENT = re.compile(rb"envbuild-secret v1 (0|[1-9][0-9]{0,18}) ([0-9a-f]{64})\n")
_VALUE = re.compile(rb"envbuild-secret-v1-[0-9a-f]{64}")
MAX_CONTENT = 128
"""Bytes of the longest content that is a placeholder."""


class Placeholder(Record):
    """The size in bytes of the content that it stands for, and its digest under the store's key."""

    size: int
    digest: str

    @property
    def content(self) -> bytes:
        """The content of the file in the capture."""
        return b"envbuild-secret v1 %d %s\n" % (self.size, self.digest.encode())


def read_placeholder(content: bytes) -> Placeholder | None:
    """Return the placeholder that is all of a file's content, None if it is none."""
    match = _CONTENT.fullmatch(content) if len(content) <= MAX_CONTENT else None
    return None if match is None else Placeholder(int(match[1]), match[2].decode())


def value_placeholder(digest: str) -> bytes:
    """Return the word that stands for a value in a file: of letters, digits and `-` alone, so that it fits between
    quotes, colons and spaces of any format."""
    return b"envbuild-secret-v1-" + digest.encode()


def has_placeholder(content: bytes) -> bool:
    """Return whether a content is a placeholder or has one in it: it must not be put onto a machine."""
    return read_placeholder(content) is not None or _VALUE.search(content) is not None
