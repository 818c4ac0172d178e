"""Builds a tree from entries that come in any order: how bases and archives get into the store."""

from __future__ import annotations

from envbuild.store.objects import Objects
from envbuild.store.trees import StoredTrees
from envbuild.tree.entry import DIRECTORY, FILE, ROOT_NAME, Digest, Entry


class TreeBuilder:
    """Collects entries by path; file contents go into the pool at once."""

    def __init__(self, trees: StoredTrees, objects: Objects) -> None:
        self._trees = trees
        self._objects = objects
        self._entries: dict[bytes, Entry] = {}
        self.files = 0
        self.size = 0

    def add(self, path: bytes, entry: Entry, source: bytes | int | None = None) -> None:
        """Put `entry` at `path` (relative to the root, b"" for the root's own attributes). `source` is a file's bytes,
        or a descriptor that stands at its content. What was at the path before is replaced."""
        if entry.kind == FILE:
            entry = self._objects.add(entry, b"" if source is None else source)
            self.files += 1
            self.size += entry.size
        self._entries[path] = entry

    def get(self, path: bytes) -> Entry | None:
        """Return what was added at this path last: what a hard link in an archive refers to."""
        return self._entries.get(path)

    def link(self, path: bytes, other: bytes) -> None:
        """Put at `path` what was added at `other`: another name of the same file."""
        self._entries[path] = self._entries[other]

    def finish(self, mtime: int = 0) -> Digest:
        """Return the tree of all that was added. Directories that are missing get 0755, 0:0 and `mtime`
        (nanoseconds)."""
        children: dict[bytes, dict[bytes, Entry]] = {b"": {}}
        missing = Entry(b"", DIRECTORY, 0o755, 0, 0, mtime)
        root = self._entries.pop(b"", missing)
        for path in list(self._entries):
            self._reach(path, children, missing)
        for path, entry in self._entries.items():
            parent, _, name = path.rpartition(b"/")
            if parent in children and (parent == b"" or self._entries[parent].kind == DIRECTORY):
                children[parent][name] = entry._replace(name=name)
        # Children have longer paths than their parents: deepest first, each directory is complete when it is saved.
        for path in sorted(children, key=lambda path: path.count(b"/") + bool(path), reverse=True):
            if path:
                parent, _, name = path.rpartition(b"/")
                digest = self._trees.save(children[path].values())
                children[parent][name] = children[parent][name]._replace(digest=digest)
        children[b""][ROOT_NAME] = root._replace(name=ROOT_NAME, digest="")
        return self._trees.save(children[b""].values())

    def _reach(self, path: bytes, children: dict[bytes, dict[bytes, Entry]], missing: Entry) -> None:
        """Make sure that the directory of `path`, and `path` itself if it is one, can hold entries."""
        if self._entries[path].kind == DIRECTORY:
            children.setdefault(path, {})
        parent = path.rpartition(b"/")[0]
        while parent and parent not in children:
            held = self._entries.get(parent)
            if held is None or held.kind != DIRECTORY:
                # A file that was added where a directory has to be gives way.
                self._entries[parent] = missing
            children[parent] = {}
            parent = parent.rpartition(b"/")[0]
