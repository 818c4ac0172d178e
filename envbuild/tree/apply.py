"""Changes put on a tree: `apply` for those that a diff found, `edit` for those that a step wants."""

from __future__ import annotations

from envbuild.errors import WorkFailed, fields
from envbuild.record import Record
from envbuild.tree.diff import Change
from envbuild.tree.entry import DIRECTORY, FILE, KIND_WORDS, ROOT_NAME, Digest, Entry
from envbuild.tree.lookup import Trees

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    Settle = Callable[[Entry, Entry], Entry]
    """What a file becomes that takes the place of another: from that one, and the one that was asked for."""


@fields
class NotADirectory(WorkFailed):
    """A path goes through something that is not a directory, or would put a file where a directory is."""

    path: bytes
    is_kind: str

    def text(self) -> tuple[str, str]:
        shown = "/" + self.path.decode(errors="backslashreplace")
        return (
            f"{shown} is a {self.is_kind} in the tree, which does not fit what should go there",
            "remove it in a step before, or choose another destination",
        )


class Edit(Record):
    """What should lie at `path`: None for nothing. A directory is merged into a directory that is there,
    unless `replace`, which puts the new one in its place."""

    path: bytes
    entry: Entry | None
    replace_whole: bool = False


def apply(trees: Trees, changes: Iterable[Change], root: Digest) -> Digest:
    """Return the tree that `changes` make of `root`: apply(diff(a, b), a) == b for all trees.

    Subtrees that no change touches are shared, not copied.
    """
    node = _Node(trees, root)
    for change in changes:
        node.place(change.path.split(b"/"), change.after, None, contents=False)
    return node.save()


def edit(trees: Trees, root: Digest, edits: Iterable[Edit], mtime: int, settle: Settle | None = None) -> Digest:
    """Return the tree with `edits` made in order. Directories that are missing on the way are made (0755, 0:0, `mtime`
    in nanoseconds). A file in the place of another is what `settle` makes of it. Raises NotADirectory."""
    node = _Node(trees, root, settle)
    parent = Entry(b"", DIRECTORY, 0o755, 0, 0, mtime)
    for change in edits:
        path = change.path or ROOT_NAME
        node.place(path.split(b"/"), change.entry, parent, contents=True, whole=change.replace_whole)
    return node.save()


class _Node:
    """A directory that is being changed; children that are not touched stay as digests.

    Nothing here calls itself: a tree may be deeper than Python's stack.
    """

    def __init__(self, trees: Trees, digest: Digest | None, settle: Settle | None = None) -> None:
        self._trees = trees
        self._settle = settle
        self._digest = digest
        loaded = trees.load(digest) if digest is not None else ()
        self._entries = {entry.name: entry for entry in loaded}
        self._open: dict[bytes, _Node] = {}
        self._changed = digest is None

    def place(
        self,
        parts: list[bytes],
        entry: Entry | None,
        parent: Entry | None,
        *,
        contents: bool,
        whole: bool = False,
    ) -> None:
        """Put `entry` at the path `parts` below this directory. `parent` is what missing directories are like, None
        where none may be missing; with `contents` a directory's subtree is merged, else its own attributes are all that
        changes in a directory that exists."""
        node: _Node | None = self
        for depth, name in enumerate(parts[:-1], 1):
            assert node is not None
            node = node._inner(name, parts[:depth], parent, removing=entry is None)
            if node is None:
                return
        assert node is not None
        pending = [(node, parts, entry)]
        while pending:
            node, path, item = pending.pop()
            merged = node._put(path, item, contents=contents, whole=whole)
            if merged is not None:
                inner, digest = merged
                prefix = [] if path == [ROOT_NAME] else path
                children = [child for child in self._trees.load(digest) if child.name != ROOT_NAME]
                pending += [(inner, [*prefix, child.name], child) for child in reversed(children)]

    def _put(
        self, path: list[bytes], entry: Entry | None, *, contents: bool, whole: bool
    ) -> tuple[_Node, Digest] | None:
        """Put an entry into this directory; return which subtree is left to be merged into which node."""
        name = path[-1]
        self._changed = True
        held = self._entries.get(name)
        if entry is None:
            self._entries.pop(name, None)
            self._open.pop(name, None)
            return None
        if name == ROOT_NAME and entry.kind == DIRECTORY:
            self._entries[name] = entry._replace(name=name, digest="")
            return (self, entry.digest) if contents and entry.digest else None
        if held is not None and held.kind == entry.kind == DIRECTORY and not whole:
            inner = self._inner(name, path, None, removing=False)
            assert inner is not None
            self._entries[name] = entry._replace(name=name)
            return (inner, entry.digest) if contents and entry.digest else None
        if contents and not whole and held is not None and DIRECTORY in (held.kind, entry.kind):
            raise NotADirectory(b"/".join(path), KIND_WORDS[held.kind])
        self._open.pop(name, None)
        if self._settle is not None and held is not None and held.kind == entry.kind == FILE and not whole:
            entry = self._settle(held, entry)
        if entry.kind == DIRECTORY and not entry.digest:
            entry = entry._replace(digest=self._trees.save(()))
        self._entries[name] = entry._replace(name=name)
        return None

    def save(self) -> Digest:
        """Keep this directory and all changed ones below it, and return its digest."""
        order: list[tuple[_Node, _Node | None, bytes]] = [(self, None, b"")]
        for node, _, _ in order:
            order += [(inner, node, name) for name, inner in node._open.items()]
        digest = ""
        # Each directory comes after its parent in this list: from the end, children are saved first.
        for node, parent, name in reversed(order):
            unchanged = None if node._changed else node._digest
            digest = unchanged or self._trees.save(node._entries.values())
            if parent is not None and parent._entries[name].digest != digest:
                parent._entries[name] = parent._entries[name]._replace(digest=digest)
                parent._changed = True
        return digest

    def _inner(self, name: bytes, path: list[bytes], parent: Entry | None, *, removing: bool) -> _Node | None:
        if name in self._open:
            return self._open[name]
        held = self._entries.get(name)
        if held is None:
            if removing:
                return None
            if parent is None:
                raise KeyError(b"/".join(path))
            self._changed = True
            self._entries[name] = parent._replace(name=name)
            node = _Node(self._trees, None, self._settle)
        elif held.kind != DIRECTORY:
            if removing:
                return None
            raise NotADirectory(b"/".join(path), KIND_WORDS[held.kind])
        else:
            node = _Node(self._trees, held.digest, self._settle)
        self._open[name] = node
        return node
