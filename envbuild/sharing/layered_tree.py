"""Puts layers on top of each other into one tree of the store (OCI image specification, "Changeset over existing
filesystems"). Nothing of a layer is ever a path of this machine: names lead through a tree in memory alone."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Protocol

from envbuild.archive.limits import ArchiveError, printable
from envbuild.oci.layer_tar import WHITEOUT
from envbuild.tree.entry import BLOCK_DEVICE, CHARACTER_DEVICE, DIRECTORY, FILE, ROOT_NAME, Digest, Entry

_OPAQUE = b".wh..wh..opq"
_OF_AUFS = b".wh..wh."
"""How the names of aufs's own records begin, which docker leaves out as well."""
_SECOND = 1_000_000_000


class _Node:
    """A path: what is there, None for a directory that nothing says anything of, and below it `children`. In a layer
    `gone` are names that it hides of the layers below, and `opaque` hides them all."""

    __slots__ = ("children", "entry", "gone", "opaque")

    def __init__(self, entry: Entry | None) -> None:
        self.entry = entry
        self.children: dict[bytes, _Node] = {}
        self.gone: set[bytes] = set()
        self.opaque = False

    def leave_out(self, name: bytes) -> None:
        """Have nothing at a name, nor what lies there below."""
        self.children.pop(name, None)
        self.gone.add(name)

    @property
    def is_directory(self) -> bool:
        return self.entry is None or self.entry.kind == DIRECTORY


class Directories(Protocol):
    """What keeps directories: a store, or memory."""

    def save(self, entries: Iterable[Entry], /) -> Digest:
        """Keep a directory and return its digest."""
        ...


class Files(Protocol):
    """What takes files: a store, or what only looks at them."""

    def add(self, entry: Entry, source: bytes | int, /) -> Entry:
        """Take a file and return its entry with digest and size; `source` is its bytes, or a descriptor of them."""
        ...


class LayeredTree:
    """The layers so far, and the one that is being read, as the target of its members."""

    def __init__(self, trees: Directories, objects: Files, source: str) -> None:
        self._trees = trees
        self._objects = objects
        self._source = source
        self._below = _Node(None)
        self._layer = _Node(None)
        self._rooted = False
        self.newest = 0
        """The time of the newest file, in seconds."""
        self._devices = 0
        self._device = b""

    @property
    def notes(self) -> tuple[str, ...]:
        """What of the layers was left out, in words."""
        if not self._devices:
            return ()
        what = "a device was" if self._devices == 1 else f"{self._devices} devices were"
        return (f"{what} left out, as no sandbox can have it: /{printable(self._device)}",)

    def begin_layer(self) -> None:
        """Begin with the next layer."""
        self._layer = _Node(None)
        self._rooted = False

    def end_layer(self) -> None:
        """Put the layer that was read on top of those below."""
        _merge(self._below, self._layer)
        self._layer = _Node(None)

    def add(self, path: bytes, entry: Entry, source: bytes | int | None = None) -> None:
        """Add a member of the layer, or what its name says of the layers below. Raises ArchiveError."""
        if not path:
            # The reader of archives begins with a root of its own.
            if self._rooted:
                self._layer.entry = entry
            self._rooted = True
            return
        folder, _, name = path.rpartition(b"/")
        if b"/" + WHITEOUT in b"/" + folder:
            raise ArchiveError(self._source, "a path inside of a whiteout", 0, path)
        if name.startswith(WHITEOUT):
            self._hide(folder, name)
            return
        if entry.kind in (CHARACTER_DEVICE, BLOCK_DEVICE):
            # What only the machine's root can make: docker without root and podman leave it out, too.
            self._reach(folder).leave_out(name)
            self._device = self._device or path
            self._devices += 1
            return
        if entry.kind == FILE:
            entry = self._objects.add(entry, b"" if source is None else source)
            self.newest = max(self.newest, entry.mtime // _SECOND)
        self._place(path, entry)

    def get(self, path: bytes) -> Entry | None:
        """Return what is at a path by now: in this layer, or below where it hides nothing."""
        layer: _Node | None = self._layer
        below: _Node | None = self._below
        for name in path.split(b"/") if path else ():
            if layer is not None and (layer.opaque or name in layer.gone):
                below = None
            layer = layer.children.get(name) if layer is not None else None
            below = below.children.get(name) if below is not None else None
        node = layer if layer is not None and layer.entry is not None else below
        return node.entry if node is not None else None

    def link(self, path: bytes, other: bytes) -> None:
        """Add another name of a file."""
        entry = self.get(other)
        assert entry is not None
        self.add(path, entry, None) if entry.kind != FILE else self._place(path, entry)

    def finish(self) -> Digest:
        """Return the tree of all layers."""
        root = self._below.entry or Entry(ROOT_NAME, DIRECTORY, 0o755, 0, 0, 0)
        children = self._saved(self._below)
        return self._trees.save([*children, root._replace(name=ROOT_NAME, digest="")])

    def _saved(self, node: _Node) -> list[Entry]:
        entries = []
        for name, child in node.children.items():
            entry = child.entry or Entry(name, DIRECTORY, 0o755, 0, 0, 0)
            if entry.kind == DIRECTORY:
                entry = entry._replace(digest=self._trees.save(self._saved(child)))
            entries.append(entry._replace(name=name))
        return entries

    def _hide(self, folder: bytes, name: bytes) -> None:
        if name == _OPAQUE:
            self._reach(folder).opaque = True
            return
        if name.startswith(_OF_AUFS):
            return
        hidden = name.removeprefix(WHITEOUT)
        if hidden in (b"", b".", b".."):
            raise ArchiveError(self._source, "a whiteout of no name", 0, name)
        self._reach(folder).gone.add(hidden)

    def _place(self, path: bytes, entry: Entry) -> None:
        folder, _, name = path.rpartition(b"/")
        parent = self._reach(folder)
        known = parent.children.get(name)
        if known is not None and known.is_directory and entry.kind == DIRECTORY:
            known.entry = entry
        else:
            parent.children[name] = _Node(entry)

    def _reach(self, folder: bytes) -> _Node:
        """Return the directory of this layer at a path; what is there and is none gives way."""
        node = self._layer
        for name in folder.split(b"/") if folder else ():
            child = node.children.get(name)
            if child is None or not child.is_directory:
                child = node.children[name] = _Node(None)
            node = child
        return node


def _merge(below: _Node, layer: _Node) -> None:
    if layer.opaque:
        below.children = {}
    for name in layer.gone:
        below.children.pop(name, None)
    if layer.entry is not None:
        below.entry = layer.entry
    for name, node in layer.children.items():
        known = below.children.get(name)
        if known is not None and known.is_directory and node.is_directory:
            _merge(known, node)
        else:
            below.children[name] = node
