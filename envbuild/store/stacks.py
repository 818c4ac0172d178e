"""Stacks: lists of layers that overlayfs can mount as a tree.

A stack is a chain of rows: the tree, the tree below it, and the layer that lies between. To mount a tree that has
none yet, one small layer with what differs is put on the nearest tree that has one. A chain that grows too deep is
folded: its upper part becomes one layer.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Sequence

from envbuild.errors import MachineLacks
from envbuild.store import publish
from envbuild.store.attributes import apply_attributes
from envbuild.store.database import Database
from envbuild.store.objects import Objects
from envbuild.store.occurrences import Mark, Occurrences, mark
from envbuild.store.trees import StoredTrees
from envbuild.store.work import WorkArea
from envbuild.tree.diff import own
from envbuild.tree.entry import DIRECTORY, FIFO, FILE, LINK, ROOT_NAME, Digest, Entry, object_id
from envbuild.tree.forest import root_entry

DEEPEST = 48
"""Chains longer than this are folded. overlayfs takes 500 layers, but each look-up of a missing name asks all."""
OPAQUE = "user.overlay.opaque"


class CannotMakeDevice(MachineLacks):
    """The tree holds a device node, which a user namespace can't make."""

    def __init__(self, path: str) -> None:
        super().__init__(
            f"{path} is a device node, which can't be made without real root",
            "take it out of the base; /dev in a sandbox has its own devices",
        )


class Stacks:
    """The stacks of one store."""

    def __init__(
        self,
        path: str,
        database: Database,
        trees: StoredTrees,
        objects: Objects,
        occurrences: Occurrences,
        work: WorkArea,
    ) -> None:
        self.path = path
        self._database = database
        self._trees = trees
        self._objects = objects
        self._occurrences = occurrences
        self._work = work
        self._chains: dict[Digest, tuple[tuple[Digest, str], ...]] = {}

    def layers(self, tree: Digest, near: Sequence[Digest] = ()) -> tuple[str, ...]:
        """The layers that make up `tree`, topmost first, as absolute paths; what is missing is made.

        `near` are trees like this one, the likest first: the first that has a stack is built upon.
        """
        chain = self.chain(tree)
        if not chain:
            below = next((candidate for candidate in near if self.chain(candidate)), None)
            chain = self._add(tree, below)
        if len(chain) > DEEPEST:
            chain = self._fold(chain)
        return tuple(f"{self.path}/{layer}" for _, layer in chain)

    def chain(self, tree: Digest) -> tuple[tuple[Digest, str], ...]:
        """(tree, layer) from the top to the bottom, () if the tree has no stack."""
        known = self._chains.get(tree)
        if known is not None:
            return known
        chain: list[tuple[Digest, str]] = []
        at: Digest | None = tree
        while at is not None:
            rest = self._chains.get(at)
            if rest is not None:
                chain += rest
                break
            row = self._database.row("SELECT below, layer FROM stacks WHERE tree = ?", (at,))
            if row is None or not os.path.isdir(f"{self.path}/{row[1]}"):
                return ()
            chain.append((at, row[1]))
            at = row[0]
        self._chains[tree] = tuple(chain)
        return self._chains[tree]

    def adopt(self, tree: Digest, below: Digest | None, directory: str) -> None:
        """Makes a finished directory the layer of `tree` over `below`."""
        name = os.urandom(6).hex()
        publish.at(publish.LAYER)
        os.rename(directory, f"{self.path}/{name}")
        publish.at(publish.STACK)
        chain = ((tree, name), *(self.chain(below) if below is not None else ()))
        self._database.write("INSERT OR REPLACE INTO stacks VALUES (?, ?, ?, ?)", (tree, below, name, len(chain)))
        self._chains[tree] = chain

    def forget(self) -> None:
        """Drops what is held in memory, after rows were changed."""
        self._chains.clear()

    def _add(self, tree: Digest, below: Digest | None) -> tuple[tuple[Digest, str], ...]:
        with self._work.workspace() as space:
            counts = self._occurrences.of(below)
            writer = _LayerWriter(self._trees, self._objects, counts)
            writer.write(space.upper, tree, below)
            self.adopt(tree, below, space.upper)
        return self.chain(tree)

    def _fold(self, chain: tuple[tuple[Digest, str], ...]) -> tuple[tuple[Digest, str], ...]:
        """A shorter chain of the same tree: one layer over the chain's bottom."""
        return self._add(chain[0][0], chain[-1][0])


class _LayerWriter:
    """Writes what leads from one tree to another as a directory for overlayfs."""

    def __init__(self, trees: StoredTrees, objects: Objects, counts: dict[Mark, int]) -> None:
        self._trees = trees
        self._objects = objects
        self._counts = counts

    def write(self, directory: str, tree: Digest, below: Digest | None) -> None:
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
                whiteout(f"{directory}/{os.fsdecode(name)}")

    def _put(self, path: str, entry: Entry) -> None:
        if entry.kind == FILE:
            count = self._counts.get(mark(entry), 0)
            self._counts[mark(entry)] = count + 1
            self._objects.link(entry, object_id(entry), count, path)
            return
        if entry.kind == LINK:
            os.symlink(entry.target, os.fsencode(path))
        elif entry.kind == FIFO:
            os.mkfifo(path, entry.mode)
        else:
            raise CannotMakeDevice(path)
        apply_attributes(path, entry, owners=self._objects.owners)


def whiteout(path: str) -> None:
    """Marks a name of the layers below as removed: a character device 0:0 (overlayfs documentation)."""
    os.mknod(path, stat.S_IFCHR, os.makedev(0, 0))
