"""sha256 at the least cost: OpenSSL's, which hashlib loads, takes 2 ms of every start and is six times as quick.

So a process that hashes little, such as a rebuild with nothing to do, uses the interpreter's own, and one that hashes
much goes over to OpenSSL's.
"""

from __future__ import annotations

import sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    from hashlib import _Hash
    from hashlib import sha256 as _own
else:
    try:
        # What isn't there is looked for in all of sys.path.
        if sys.version_info >= (3, 12):
            from _sha2 import sha256 as _own
        else:
            from _sha256 import sha256 as _own
    except ImportError:
        from hashlib import sha256 as _own

LITTLE = 1 << 18
"""Bytes in one process after which loading OpenSSL has paid."""
_hashed = 0


def sha256_of(data: bytes) -> str:
    """The sha256 of some bytes, as 64 hexadecimal digits."""
    global _hashed
    _hashed += len(data)
    return _own(data).hexdigest() if _hashed < LITTLE else _openssl(data).hexdigest()


class Sha256:
    """A sha256 that is fed piece by piece, as the content of a file is. It keeps what it is fed, up to LITTLE bytes,
    until it knows which of the two is worth it."""

    def __init__(self, data: bytes = b"") -> None:
        self._pieces = [data]
        self._size = len(data)
        self._state: _Hash | None = None

    def update(self, data: bytes | memoryview) -> None:
        """Feed it more; what it was fed may change afterwards."""
        if self._state is not None:
            self._state.update(data)
            return
        self._pieces.append(bytes(data))
        self._size += len(data)
        if self._size >= LITTLE:
            self._state = _openssl(b"".join(self._pieces))
            self._pieces = []

    def hexdigest(self) -> str:
        """Return the sha256 of all that it was fed, as 64 hexadecimal digits."""
        if self._state is not None:
            return self._state.hexdigest()
        self._pieces = [b"".join(self._pieces)]
        return sha256_of(self._pieces[0])


def _openssl(data: bytes) -> _Hash:
    from hashlib import sha256  # not before something needs it

    return sha256(data)
