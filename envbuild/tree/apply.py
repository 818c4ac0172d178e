"""Changes put on a tree: `apply` for those that a diff found, `edit` for those that a step wants."""

from __future__ import annotations

from collections.abc import Iterable

from envbuild.errors import WorkFailed
from envbuild.record import Record
from envbuild.tree.diff import Change
from envbuild.tree.entry import DIRECTORY, ROOT_NAME, Digest, Entry
from envbuild.tree.forest import Trees


class NotADirectory(WorkFailed):
    """A path goes through something that is not a directory, or would put a file where a directory is."""

    def __init__(self, path: bytes, is_kind: str) -> None:
        shown = "/" + path.decode(errors="backslashreplace")
        super().__init__(
            f"{shown} is a {is_kind} in the tree, which does not fit what should go there",
            "remove it in a step before, or choose another destination",
        )


class Edit(Record):
    """What should lie at `path`: None for nothing. A directory is merged into a directory that is there,
    unless `replace`, which puts the new one in its place."""

    path: bytes
    entry: Entry | None
    replace_whole: bool = False


def apply(trees: Trees, changes: Iterable[Change], root: Digest) -> Digest:
    """The tree that `changes` make of `root`: apply(diff(a, b), a) == b for all trees.

    Subtrees that no change touches are shared, not copied.
    """
    node = _Node(trees, root)
    for change in changes:
        node.place(change.path.split(b"/"), change.after, b"", None, contents=False)
    return node.save()


def edit(trees: Trees, root: Digest, edits: Iterable[Edit], mtime: int) -> Digest:
    """The tree with `edits` made in order. Directories that are missing on the way are made (0755, 0:0, `mtime`
    in nanoseconds). Raises NotADirectory."""
    node = _Node(trees, root)
    parent = Entry(b"", DIRECTORY, 0o755, 0, 0, mtime)
    for one in edits:
        path = one.path or ROOT_NAME
        node.place(path.split(b"/"), one.entry, b"", parent, contents=True, whole=one.replace_whole)
    return node.save()


class _Node:
    """A directory that is being changed; children that are not touched stay as digests."""

    def __init__(self, trees: Trees, digest: Digest | None) -> None:
        self._trees = trees
        self._digest = digest
        loaded = trees.load(digest) if digest is not None else ()
        self._entries = {entry.name: entry for entry in loaded}
        self._open: dict[bytes, _Node] = {}
        self._changed = digest is None

    def place(
        self,
        parts: list[bytes],
        entry: Entry | None,
        prefix: bytes,
        parent: Entry | None,
        *,
        contents: bool,
        whole: bool = False,
    ) -> None:
        """Puts `entry` at the path `parts` below this directory. `parent` is what missing directories are like,
        None where none may be missing; with `contents` a directory's subtree is merged, else its own attributes
        are all that changes in a directory that exists."""
        name, rest = parts[0], parts[1:]
        path = prefix + name
        if rest:
            inner = self._inner(name, path, parent, removing=entry is None)
            if inner is not None:
                inner.place(rest, entry, path + b"/", parent, contents=contents, whole=whole)
            return
        self._changed = True
        held = self._entries.get(name)
        if entry is None:
            self._entries.pop(name, None)
            self._open.pop(name, None)
            return
        if name == ROOT_NAME and entry.kind == DIRECTORY:
            if contents and entry.digest:
                self._merge(entry.digest, prefix, parent)
            self._entries[name] = entry._replace(name=name, digest="")
            return
        both = held is not None and held.kind == entry.kind == DIRECTORY
        if both and not whole:
            inner = self._inner(name, path, None, removing=False)
            assert inner is not None
            if contents and entry.digest:
                inner._merge(entry.digest, path + b"/", parent)
            self._entries[name] = entry._replace(name=name)
            return
        if contents and not whole and held is not None and DIRECTORY in (held.kind, entry.kind):
            raise NotADirectory(path, KIND_WORDS[held.kind])
        self._open.pop(name, None)
        if entry.kind == DIRECTORY and not entry.digest:
            entry = entry._replace(digest=self._trees.save(()))
        self._entries[name] = entry._replace(name=name)

    def save(self) -> Digest:
        """Keeps this directory and all changed ones below it, and returns its digest."""
        for name, node in self._open.items():
            digest = node.save()
            if self._entries[name].digest != digest:
                self._entries[name] = self._entries[name]._replace(digest=digest)
                self._changed = True
        if not self._changed and self._digest is not None:
            return self._digest
        return self._trees.save(self._entries.values())

    def _merge(self, digest: Digest, prefix: bytes, parent: Entry | None) -> None:
        for entry in self._trees.load(digest):
            if entry.name != ROOT_NAME:
                self.place([entry.name], entry, prefix, parent, contents=True)

    def _inner(self, name: bytes, path: bytes, parent: Entry | None, *, removing: bool) -> _Node | None:
        if name in self._open:
            return self._open[name]
        held = self._entries.get(name)
        if held is None:
            if removing:
                return None
            if parent is None:
                raise KeyError(path)
            self._changed = True
            self._entries[name] = parent._replace(name=name)
            node = _Node(self._trees, None)
        elif held.kind != DIRECTORY:
            if removing:
                return None
            raise NotADirectory(path, KIND_WORDS[held.kind])
        else:
            node = _Node(self._trees, held.digest)
        self._open[name] = node
        return node


KIND_WORDS = {
    "f": "file",
    "d": "directory",
    "l": "link",
    "c": "character device",
    "b": "block device",
    "p": "named pipe",
}
"""What messages and listings call the kinds of entries."""
