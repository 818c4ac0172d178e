"""Writes what leads from one tree to another as a layer: a directory for overlayfs."""

from __future__ import annotations

import os

from envbuild.errors import MachineLacks, fields
from envbuild.linux.attributes import apply_attributes
from envbuild.store.objects import Objects
from envbuild.store.upper import make_whiteout
from envbuild.tree.diff import own
from envbuild.tree.entry import DIRECTORY, FIFO, FILE, LINK, ROOT_NAME, Digest, Entry, Mark, mark, object_id
from envbuild.tree.lookup import Trees, root_entry


@fields
class CannotMakeDevice(MachineLacks):
    """The tree holds a device node, which a user namespace can't make."""

    path: str

    def text(self) -> tuple[str, str]:
        return (
            f"{self.path} is a device node, which can't be made without real root",
            "take it out of the base; /dev in a sandbox has its own devices",
        )


class LayerWriter:
    """Writes layers with the objects of a store. `counts` are how often each file occurs in what lies below."""

    def __init__(self, trees: Trees, objects: Objects, counts: dict[Mark, int]) -> None:
        self._trees = trees
        self._objects = objects
        self._counts = counts

    def write(self, directory: str, tree: Digest, below: Digest | None) -> None:
        """Write the layer of `tree` over `below` into an empty directory. Raises CannotMakeDevice and StoreDamaged."""
        self._objects.bring(self._trees, tree)
        self._fill(directory, tree, below)
        apply_attributes(directory, root_entry(self._trees, tree), owners=self._objects.owners)

    def _fill(self, directory: str, tree: Digest, below: Digest | None) -> None:
        before = {entry.name: entry for entry in self._trees.load(below)} if below is not None else {}
        for entry in self._trees.load(tree):
            old = before.pop(entry.name, None)
            if entry.name == ROOT_NAME or entry == old:
                continue
            path = f"{directory}/{os.fsdecode(entry.name)}"
            if entry.kind != DIRECTORY:
                self._put(path, entry)
                continue
            os.mkdir(path, 0o700)
            merged = old is not None and old.kind == DIRECTORY
            self._fill(path, entry.digest, old.digest if merged and old is not None else None)
            apply_attributes(path, own(entry), owners=self._objects.owners)
        for name in before:
            if name != ROOT_NAME:
                make_whiteout(f"{directory}/{os.fsdecode(name)}")

    def _put(self, path: str, entry: Entry) -> None:
        if entry.kind == FILE:
            self.put_file(path, entry)
            return
        if entry.kind == LINK:
            os.symlink(entry.target, os.fsencode(path))
        elif entry.kind == FIFO:
            os.mkfifo(path, entry.mode)
        else:
            raise CannotMakeDevice(path)
        apply_attributes(path, entry, owners=self._objects.owners)

    def put_file(self, path: str, entry: Entry) -> None:
        """Make a file of the layer. Raises StoreDamaged."""
        count = self._counts.get(mark(entry), 0)
        self._counts[mark(entry)] = count + 1
        self._objects.link(entry, object_id(entry), count, path)
