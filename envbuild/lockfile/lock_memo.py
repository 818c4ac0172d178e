"""Reads locks without YAML where the same text was read before."""

from __future__ import annotations

from envbuild.digest import sha256_of
from envbuild.lockfile.lock import Lock, from_plain, parse, to_plain
from envbuild.store.store import Store
from envbuild.text import json


def read_lock(text: str, path: str, store: Store) -> Lock:
    """The lock that `text` holds. Raises BadLock."""
    key = sha256_of(text.encode())
    remembered = store.memo.get("lock", key)
    if remembered is not None:
        try:
            return from_plain(json.loads(remembered))
        except (KeyError, TypeError, ValueError, AttributeError, AssertionError, RecursionError):
            pass  # written by another version: the text itself decides
    lock = parse(text, path)
    remember_lock(text, lock, store)
    return lock


def remember_lock(text: str, lock: Lock, store: Store) -> None:
    """Keeps what a lock's text means, for the next build to read."""
    store.memo.put("lock", sha256_of(text.encode()), json.dumps(to_plain(lock)).encode())
