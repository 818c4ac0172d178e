"""The lock of a store: held together by all who use it, alone by whoever removes or repairs."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager

from envbuild.errors import UsageError

LOCK_FILE = "lock"


class StoreInUse(UsageError):
    """The store is needed alone, and somebody else uses it."""

    def __init__(self) -> None:
        super().__init__("a build or an instance is using the store", "wait for it to end, then run this again")


def share(path: str) -> int:
    """Waits until nobody has the store at `path` alone; it is shared until the descriptor is closed."""
    descriptor = _open(path)
    fcntl.flock(descriptor, fcntl.LOCK_SH)
    return descriptor


@contextmanager
def alone(path: str, *, wait: bool) -> Iterator[None]:
    """Keeps everybody else out. Raises StoreInUse if others are in and `wait` is False."""
    descriptor = _open(path)
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
        except BlockingIOError:
            raise StoreInUse from None
        yield
    finally:
        os.close(descriptor)


def _open(path: str) -> int:
    return os.open(f"{path}/{LOCK_FILE}", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
