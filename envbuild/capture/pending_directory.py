"""A directory of a capture while it is put together: some of its files are still being read, or directories in it."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from envbuild.capture.known_directories import KnownDirectory, Mark
from envbuild.tree.entry import Digest, Entry


class PendingDirectory:
    """What is known so far. `entry` is its own with an empty digest, None where its attributes are as `known` of its
    parent has them. It is whole when nothing is `waiting`: its listing, a file, or a directory in it."""

    __slots__ = (
        "_fresh",
        "_same",
        "_with_digest",
        "directories",
        "entry",
        "known",
        "left",
        "mark",
        "marks",
        "name",
        "parent",
        "path",
        "secrets",
        "waiting",
    )

    def __init__(
        self,
        parent: PendingDirectory | None,
        name: bytes,
        path: bytes,
        entry: Entry | None,
        mark: Mark,
        known: KnownDirectory | None,
    ) -> None:
        self.parent = parent
        self.name = name
        self.path = path
        self.entry = entry
        self.mark = mark
        self.known = known
        self.waiting = 1
        self.marks: dict[str, Mark] = {}
        self.directories: set[str] = set()
        self.left: dict[str, tuple[str, bool]] = {}
        self.secrets: dict[str, tuple[int, int | None, Digest]] = {}
        self._fresh: list[Entry] = []
        self._same: list[bytes] = []
        self._with_digest: dict[bytes, Digest] = {}

    def add(self, entry: Entry) -> None:
        """Take an entry that is new, or may be."""
        self._fresh.append(entry)

    def add_same(self, name: bytes) -> None:
        """Take an entry as the known directory has it."""
        self._same.append(name)

    def add_digest(self, name: bytes, digest: Digest) -> None:
        """Take a directory's entry as the known directory has it, but for its digest."""
        self._with_digest[name] = digest

    def finish(
        self, load: Callable[[Digest], tuple[Entry, ...]], save: Callable[[Iterable[Entry]], Digest], *, anew: bool
    ) -> tuple[Digest, KnownDirectory]:
        """Return the digest of the whole directory, and what is known of it from now on. One that is as it was known is
        not put together again, unless `anew`. Raises StoreDamaged."""
        known = self.known
        count = len(self._fresh) + len(self._same) + len(self._with_digest)
        changed = self._fresh or self._with_digest or known is None or count != known.entries
        if known is not None and not changed and not anew:
            digest = known.digest
        else:
            entries = self._fresh
            if self._same or self._with_digest:
                assert known is not None
                old = {entry.name: entry for entry in load(known.digest)}
                entries += [old[name] for name in self._same]
                entries += [old[name]._replace(digest=inner) for name, inner in self._with_digest.items()]
            digest = save(entries)
        row = KnownDirectory(self.mark, digest, count, self.marks, self.directories, self.left, self.secrets)
        return digest, row

    def is_same(self, digest: Digest) -> bool:
        """Tell whether the parent's known directory has this one as it is: its attributes, and all that is in it."""
        return self.entry is None and self.known is not None and digest == self.known.digest
