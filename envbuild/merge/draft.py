"""A merged tree before it is kept: directories and contents in memory; only what the result needs is written."""

from __future__ import annotations

from envbuild.store.objects import Objects
from envbuild.store.store import Store
from envbuild.tree.entry import DIRECTORY, FILE, Digest, Entry, digest_of, encode, object_id

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable

    from envbuild.tree.lookup import Trees


class Draft:
    """Directories and contents that a merge makes, over those of a store. It is the Trees of the merge's functions."""

    def __init__(self, trees: Trees) -> None:
        self._trees = trees
        self._directories: dict[Digest, tuple[Entry, ...]] = {}
        self._contents: dict[Digest, bytes] = {}
        self._altered: dict[Digest, tuple[Entry, Entry]] = {}

    def load(self, digest: Digest) -> tuple[Entry, ...]:
        """Return the entries of a directory."""
        known = self._directories.get(digest)
        return self._trees.load(digest) if known is None else known

    def save(self, entries: Iterable[Entry]) -> Digest:
        """Take a directory; return its digest."""
        listed = tuple(sorted(entries))
        digest = digest_of(encode(listed))
        self._directories[digest] = listed
        return digest

    def content(self, entry: Entry) -> bytes | None:
        """Return a content that the merge made."""
        return self._contents.get(entry.digest)

    def put(self, entry: Entry, content: bytes) -> Entry:
        """Take the content of a file; return the file's entry with it."""
        from envbuild.digest import sha256_of

        digest = sha256_of(content)
        self._contents[digest] = content
        return entry._replace(digest=digest, size=len(content))

    def alter(self, old: Entry, new: Entry) -> Entry:
        """Take a file of one of the trees with other attributes; return `new`, with that file's content."""
        new = new._replace(digest=old.digest, size=old.size)
        identity = object_id(old)
        if new.kind == FILE and object_id(new) != identity:
            # What was altered already is not in the store under its new attributes.
            source = self._altered[identity][0] if identity in self._altered else old
            self._altered[object_id(new)] = source, new
        return new

    def keep(self, store: Store, root: Digest) -> None:
        """Write what `root` has and the store has not: contents first, then directories."""
        needed: dict[Digest, tuple[Entry, ...]] = {}
        pending = [root]
        files: list[Entry] = []
        while pending:
            digest = pending.pop()
            listed = self._directories.get(digest)
            if listed is None or digest in needed:
                continue
            needed[digest] = listed
            for entry in listed:
                if entry.kind == DIRECTORY and entry.digest:
                    pending.append(entry.digest)
                elif entry.kind == FILE:
                    files.append(entry)
        for entry in files:
            self._keep_file(store.objects, entry)
        with store.database.transaction():
            bodies = {digest: encode(listed) for digest, listed in needed.items()}
            store.trees.save_all(needed, bodies)

    def _keep_file(self, objects: Objects, entry: Entry) -> None:
        altered = self._altered.get(object_id(entry)) if self._altered else None
        if altered is not None:
            old, new = altered
            content = self._contents.get(old.digest)
            if content is None:
                objects.alter(old, new)
                return
        content = self._contents.get(entry.digest)
        if content is not None:
            objects.add(entry, content)
