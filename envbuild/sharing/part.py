"""A range of a file, read and hashed."""

from __future__ import annotations

import io
import os
from hashlib import sha256
from typing import IO

_CHUNK = 1 << 20


class Part(io.RawIOBase):
    """A range of a file as a file, hashed while it is read from the start on."""

    def __init__(self, file: IO[bytes], start: int, size: int, *, hashed: bool = True) -> None:
        """`hashed` is False where nobody asks for the digest."""
        super().__init__()
        self._file = file
        self._start = start
        self._at = 0
        self._hashed = 0 if hashed else size
        self._state = sha256()
        self._deferred = False
        self.size = size

    def defer(self) -> None:
        """Leave the hashing to `digest`, which then reads all of it again: who asks only after a failure."""
        self._deferred = True

    def read(self, size: int = -1) -> bytes:
        """Return at most so many bytes; b"" at the end."""
        left = self.size - self._at
        wanted = left if size < 0 else min(size, left)
        self._file.seek(self._start + self._at)
        data = self._file.read(wanted) if wanted else b""
        end = self._at + len(data)
        if not self._deferred and end > self._hashed >= self._at:
            self._state.update(data[self._hashed - self._at :])
            self._hashed = end
        self._at = end
        return data

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        """Go to a place from the start."""
        assert whence == os.SEEK_SET
        self._at = offset
        return offset

    def tell(self) -> int:
        """Return where the next read begins."""
        return self._at

    def readable(self) -> bool:
        return True

    def close(self) -> None:
        """Close the file that this is a part of."""
        if not self.closed:
            self._file.close()
        super().close()

    def digest(self) -> str:
        """Return the digest of all of it, of which the rest is read."""
        self._deferred = False
        self.seek(self._hashed)
        while self.read(_CHUNK):
            pass
        return f"sha256:{self._state.hexdigest()}" if self._hashed == self.size else ""
