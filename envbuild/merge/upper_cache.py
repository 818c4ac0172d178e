"""What a cache's program left in overlayfs' upper directory, as far as it is the cache."""

from __future__ import annotations

import os
import stat

from envbuild.digest import sha256_of
from envbuild.store.upper import is_opaque, is_whiteout
from envbuild.tree.entry import DIRECTORY, FILE, Entry
from envbuild.tree.lookup import entry_at

TYPE_CHECKING = False
if TYPE_CHECKING:
    import re
    from collections.abc import Iterator

    from envbuild.tree.entry import Digest
    from envbuild.tree.lookup import Trees

MAX_CACHE_FILES = 10_000
MAX_CACHE_FILE = 256 << 20
"""Bytes of a file of a cache; an archive of all locales has 230 millions."""
_FLAGS = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC


class CacheTooLarge(Exception):
    """A program that left more than any cache has. Never leaves the merge."""


def cache_files(
    trees: Trees, below: Digest, upper: str, pattern: re.Pattern[bytes], mtime: int, *, owners: bool
) -> Iterator[tuple[bytes, Entry | None, bytes]]:
    """Yield (path, entry, content) for each file that an upper directory has at a path that the pattern matches; the
    entry is None where the file is gone. Of one that was written as it was nothing is said. Nothing runs that could
    change the directory any more.

    A file's time is `mtime` (nanoseconds). Without `owners` these don't show, and are those of the tree `below`.
    Raises CacheTooLarge.
    """
    pending = [b""]
    number = 0
    while pending:
        prefix = pending.pop()
        folder = os.fsencode(upper) + b"/" + prefix
        for name in sorted(os.listdir(folder)):
            number += 1
            if number > MAX_CACHE_FILES:
                raise CacheTooLarge
            path, where = prefix + name, folder + name
            status = os.lstat(where)
            if stat.S_ISDIR(status.st_mode):
                pending.append(path + b"/")
                if is_opaque(os.fsdecode(where)):
                    yield from ((gone, None, b"") for gone in _files_in(trees, below, path) if pattern.fullmatch(gone))
            elif pattern.fullmatch(path) and is_whiteout(status):
                yield path, None, b""
            elif pattern.fullmatch(path) and stat.S_ISREG(status.st_mode):
                if status.st_size > MAX_CACHE_FILE:
                    raise CacheTooLarge
                held = entry_at(trees, below, path)
                uid, gid = (
                    (status.st_uid, status.st_gid) if owners else (0, 0) if held is None else (held.uid, held.gid)
                )
                entry = Entry(name, FILE, stat.S_IMODE(status.st_mode) & 0o777, uid, gid, mtime)
                with open(os.open(where, _FLAGS), "rb") as file:
                    content = file.read()
                if held is None or held.kind != FILE or held.digest != sha256_of(content):
                    yield path, entry, content


def _files_in(trees: Trees, tree: Digest, path: bytes) -> list[bytes]:
    """Return the paths of the files in a directory of a tree."""
    entry = entry_at(trees, tree, path)
    if entry is None or entry.kind != DIRECTORY:
        return []
    return [path + b"/" + inner.name for inner in trees.load(entry.digest) if inner.kind == FILE]
