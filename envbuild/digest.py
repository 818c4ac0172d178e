"""sha256 at the least cost: OpenSSL's, which hashlib loads, takes 2 ms of every start and is six times as quick.

So a process that hashes little, such as a rebuild with nothing to do, uses the interpreter's own, and one that hashes
much goes over to OpenSSL's.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from hashlib import _Hash
    from hashlib import sha256 as _own
else:
    try:
        from _sha2 import sha256 as _own  # Python 3.12 and later
    except ImportError:
        try:
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
    return _own(data).hexdigest() if _hashed < LITTLE else sha256(data).hexdigest()


def sha256(data: bytes = b"") -> _Hash:
    """A sha256 that can be fed: for the contents of files."""
    from hashlib import sha256 as openssl  # not before something needs it

    return openssl(data)
