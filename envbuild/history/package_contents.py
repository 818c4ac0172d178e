"""The check that files have the content that their packages brought, by the digests in the packages' records.

dpkg has md5 sums, which the store does not know: these files are read, what is run or configures first. What was found
is kept for each pair of trees, since trees never change.
"""

from __future__ import annotations

import os
from hashlib import md5
from threading import Lock, Thread

from envbuild.digest import Sha256
from envbuild.record import Record
from envbuild.store.store import Store
from envbuild.tree.entry import Digest, Entry, object_id

MAX_BYTES_READ = 4 << 30
"""Bytes of files that are read to compare them with dpkg's md5 sums; what is beyond that is counted as not checked."""
KIND = "package contents 1"
"""The kind of the answers in the store's memo; another check needs another number."""
_CHUNK = 1 << 20
_READERS = 2
"""Threads that read: hashing leaves the interpreter free, and more of them wait for each other."""


class Expected(Record):
    """A file that a package brought, with the md5 that its record has."""

    path: bytes
    entry: Entry
    md5: str


class Contents(Record):
    """The paths whose files are not what their packages brought, and those that were not read."""

    altered: frozenset[bytes]
    unread: frozenset[bytes]


NOTHING_ALTERED = Contents(frozenset(), frozenset())


def known_contents(store: Store, trees: tuple[Digest, Digest]) -> Contents | None:
    """Return what an earlier check of the same trees found, None if there was none."""
    known = store.memo.get(KIND, " ".join(trees))
    return _load(known) if known is not None else None


def check_contents(store: Store, trees: tuple[Digest, Digest], files: list[Expected]) -> Contents:
    """Compare files of the second tree with what packages brought. `files` follow from the two trees alone."""
    left = MAX_BYTES_READ
    read: list[Expected] = []
    unread: list[bytes] = []
    for file in sorted(files, key=_order):
        if file.entry.size > left:
            unread.append(file.path)
            continue
        left -= file.entry.size
        read.append(file)
    contents = Contents(frozenset(_altered(store, read)), frozenset(unread))
    store.memo.put(KIND, " ".join(trees), _dump(contents))
    return contents


def _order(file: Expected) -> tuple[bool, int, bytes]:
    program = file.entry.mode & 0o111 or file.path.startswith(b"etc/")
    return not program, file.entry.size, file.path


def _altered(store: Store, files: list[Expected]) -> list[bytes]:
    pending = sorted(files, key=lambda file: file.entry.size)  # the largest first, so that the threads end together
    altered: list[bytes] = []
    unsound: list[Expected] = []
    failed: list[OSError] = []
    lock = Lock()

    def work() -> None:
        buffer = memoryview(bytearray(_CHUNK))
        while not failed:
            with lock:
                if not pending:
                    return
                file = pending.pop()
            try:
                digest = _md5(store, file.entry, buffer)
            except FileNotFoundError:
                digest = None
            except OSError as error:
                failed.append(error)
                return
            if digest is None:
                unsound.append(file)
            elif digest != file.md5:
                altered.append(file.path)

    threads = [Thread(target=work, name="md5", daemon=True) for _ in range(_READERS - 1)]
    for thread in threads:
        thread.start()
    work()
    for thread in threads:
        thread.join()
    if failed:
        raise failed[0]
    for file in unsound:
        os.close(store.objects.open(file.entry))  # raises StoreDamaged
    return altered


def _md5(store: Store, entry: Entry, buffer: memoryview) -> str | None:
    """Return the md5 of a file's content, None if the store has other content than the entry says."""
    state, check = md5(usedforsecurity=False), Sha256()
    descriptor = os.open(store.objects.where(object_id(entry)), os.O_RDONLY | os.O_CLOEXEC)
    try:
        while length := os.readv(descriptor, [buffer]):
            state.update(buffer[:length])
            check.update(buffer[:length])
    finally:
        os.close(descriptor)
    return state.hexdigest() if check.hexdigest() == entry.digest else None


def _dump(contents: Contents) -> bytes:
    parts = (b"\0".join(sorted(paths)) for paths in (contents.altered, contents.unread))
    return b"\0\0".join(parts)


def _load(text: bytes) -> Contents:
    altered, _, unread = text.partition(b"\0\0")
    return Contents(*(frozenset(filter(None, part.split(b"\0"))) for part in (altered, unread)))
