"""What is known of a machine's directories from the last capture: whoever finds a directory as it was reads none of its
files.

A row says what was seen: the marks of the files (inode, size, times of content and of change), what was left out, and
the digest that came of it. Rows are good as long as the image of the capture that wrote them is in the store with
everything in it; of two captures that run in parallel, only the first to end writes.
"""

from __future__ import annotations

import marshal
from collections.abc import Iterable

from envbuild.digest import sha256_of
from envbuild.record import NamedTuple
from envbuild.store.store import Store
from envbuild.tree.entry import Digest

FORMAT = 1
MAX_PROFILES = 4
"""Sets of options whose directories are remembered."""
_KIND = "capture"
_PREFIX = b"\0capture\0"
"""No path begins so: other rows of the table are of directories on disk."""

Mark = tuple[int, int, int, int]


NO_MARK = (0, 0, 0, 0)
"""That of what may change without a new time stamp."""


class KnownDirectory(NamedTuple):
    """One directory as the last capture saw it. `mark` is its own, `entries` the number of its entries; `marks` are
    those of what is no directory; `left` has the names that were left out, each with the reason and whether it is a
    directory; `secrets` are the files of `marks` whose content was replaced: size, values, digest."""

    mark: Mark
    digest: Digest
    entries: int
    marks: dict[str, Mark]
    directories: set[str]
    left: dict[str, tuple[str, bool]]
    secrets: dict[str, tuple[int, int | None, Digest]]


class KnownDirectories:
    """The rows of one set of options, `profile`: everything that decides what a capture has."""

    def __init__(self, store: Store, profile: str, *, usable: bool = True) -> None:
        self._store = store
        self._profile = sha256_of(profile.encode("utf-8", "surrogateescape"))[:32]
        self._prefix = _PREFIX + self._profile.encode() + b"\0"
        self._generation, self.total, tree = self._read_state()
        usable = usable and bool(tree) and store.trees.has(tree) and not store.leads_to_lost(tree)
        self._usable = usable
        """Whether rows may be relied upon."""

    def get(self, path: bytes) -> KnownDirectory | None:
        """Return what is known of a directory by its path."""
        if not self._usable:
            return None
        stored = self._store.stats.get(self._prefix + path)
        if stored is None:
            return None
        try:
            version, *values = marshal.loads(stored)
            return KnownDirectory(*values) if version == FORMAT else None
        except (ValueError, EOFError, TypeError):
            return None

    def write(
        self, rows: Iterable[tuple[bytes, KnownDirectory]], gone: Iterable[bytes], tree: Digest, files: int
    ) -> None:
        """Keep what a capture saw that became `tree`: the rows that are new or different, and the directories that are
        no more, with all below them. It is called in the transaction that records the image."""
        generation, _, _ = self._read_state()
        if generation != self._generation:
            return
        database = self._store.database
        if not self._usable:
            self._forget(self._prefix)
        for path in gone:
            self._forget(self._prefix + path + b"/")
            database.write("DELETE FROM stats WHERE directory = ?", (self._prefix + path,))
        for path, row in rows:
            self._store.stats.put(self._prefix + path, marshal.dumps((FORMAT, *row)))
        state = marshal.dumps((self._generation + 1, files, tree))
        self._store.memo.put(_KIND, self._profile, state)
        self._forget_others()

    def _read_state(self) -> tuple[int, int, Digest]:
        stored = self._store.memo.get(_KIND, self._profile)
        try:
            generation, files, tree = marshal.loads(stored) if stored else (0, 0, "")
            return int(generation), int(files), str(tree)
        except (ValueError, EOFError, TypeError):
            return 0, 0, ""

    def _forget(self, prefix: bytes) -> None:
        self._store.database.write(
            "DELETE FROM stats WHERE directory >= ? AND directory < ?", (prefix, prefix[:-1] + bytes([prefix[-1] + 1]))
        )

    def _forget_others(self) -> None:
        """Drop the rows of other sets of options whose image is no more, and of the surplus."""
        others = [(profile, state) for profile, state in self._store.memo.all(_KIND) if profile != self._profile]
        for number, (profile, _) in enumerate(others):
            if number >= MAX_PROFILES - 1:
                self._store.memo.remove(_KIND, profile)
                self._forget(_PREFIX + profile.encode() + b"\0")
