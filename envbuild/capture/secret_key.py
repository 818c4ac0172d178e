"""The key of a store under which secrets of captures have their digests: random, and it never leaves the store."""

from __future__ import annotations

import os
import secrets

from envbuild.linux.nofollow import read_plain
from envbuild.store.database import StoreUnusable

FILE = "capture.key"
_BYTES = 32


def secret_key(store: str, *, writable: bool = True) -> bytes:
    """Return the key of the store at a path, drawn when it is first needed. Of two processes that draw it, both get the
    same. In a store that is not `writable` and has none it is one for this time. Raises StoreUnusable."""
    path = f"{os.path.realpath(store)}/{FILE}"
    try:
        key = _read(path)
        if key is None:
            key = secrets.token_bytes(_BYTES)
            if writable:
                _write(path, key)
                key = _read(path) or key
        return key
    except OSError as error:
        raise StoreUnusable(store, f"{FILE}: {error.strerror}") from error


def _read(path: str) -> bytes | None:
    try:
        key = read_plain(path, _BYTES)
    except FileNotFoundError:
        return None
    # A disk that was full or a loss of power left part of it: no digest was made with that.
    return key if len(key) == _BYTES else None


def _write(path: str, key: bytes) -> None:
    """Write the key to a file of its own first, so that nobody reads a part of it."""
    temporary = f"{path}.{os.getpid()}"
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    try:
        os.write(descriptor, key)
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
    try:
        os.link(temporary, path, follow_symlinks=False)
    except FileExistsError:
        if _read(path) is None:
            os.replace(temporary, path)
            return
    os.unlink(temporary)
