"""Stacks: lists of layers that overlayfs can mount as a tree.

A stack is a chain of rows: the tree, the tree below it, and the layer that lies between. To mount a tree that has
none yet, one small layer with what differs is put on the nearest tree that has one. A chain that grows too deep is
folded: its upper part becomes one layer. A stack of one layer is a checkout: the whole tree as one directory, which
can be shown without overlayfs, too.
"""

from __future__ import annotations

import os
import time

from envbuild.errors import fields
from envbuild.linux import boot
from envbuild.store import failpoints
from envbuild.store.database import Database, StoreDamaged
from envbuild.store.layer_check import CLOCK_STEP, check_layer, put_back_times
from envbuild.store.layer_walk import LayerWalk
from envbuild.store.missing_objects import put_aside
from envbuild.store.objects import Objects
from envbuild.store.occurrences import Occurrences
from envbuild.store.trees import StoredTrees
from envbuild.store.work_area import WorkArea
from envbuild.tree.entry import Digest

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

MAX_DEPTH = 48
"""Chains longer than this are folded. overlayfs takes 500 layers, but each look-up of a missing name asks all."""
MAX_LAYERS = 500
"""What overlayfs takes. A longer chain goes round in a circle, which stores of earlier versions may have."""


@fields
class LayerChanged(StoreDamaged):
    """Something else changed a layer of a store that may only be read."""

    layer: str
    reason: str

    def text(self) -> tuple[str, str]:
        return (
            f"the store is damaged: layer {self.layer}: {self.reason}",
            "the store may only be read: mend it where it is made",
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
        self.occurrences = occurrences
        self._work = work
        self._chains: dict[Digest, tuple[tuple[Digest, str], ...]] = {}
        self._sound: set[str] = set()
        self._ahead: LayerWalk | None = None
        self._may_be_late = False
        self._late: LateCheck | None = None
        self.mended: list[str] = []
        """What was found damaged and put aside, for the user to be told."""

    def layers(self, tree: Digest, near: Sequence[Digest] = ()) -> tuple[str, ...]:
        """Return the layers that make up `tree`, topmost first, as absolute paths; what is missing is made.

        `near` are trees like this one, the likest first: the first that has a stack is built upon. If none has, the
        last gets one: a base is what later trees are built upon. A layer that was changed since it was made is put
        aside and made again; raises StoreDamaged if what it holds is lost. Where a check was begun that may be late
        (`check_ahead`), it is not waited for.
        """
        while True:
            chain = self.chain(tree)
            if self._goes_on_over(chain):
                break
            if not chain:
                # Not on itself: another thread may have given it a stack since `chain` was asked.
                below = next((candidate for candidate in near if candidate != tree and self.chain(candidate)), None)
                if below is None and near and near[-1] != tree:
                    below = near[-1]
                    self._add(below, None)
                chain = self._add(tree, below)
            if self._check(chain):
                break
        if len(chain) > MAX_DEPTH:
            chain = self._fold(chain)
        return tuple(f"{self.path}/{layer}" for _, layer in chain)

    def check_ahead(self, tree: Digest, *, late: bool = False) -> None:
        """Begin to check the layers of a tree that is about to be mounted, while the caller does something else.

        With `late` the check may go on when they are mounted: the caller asks for it then (`late`).
        """
        if self._ahead is None:
            self._ahead = self._start_walk(self.chain(tree))
            self._may_be_late = late

    def late(self) -> LateCheck | None:
        """Return the check that goes on over layers which `layers` has returned, for the caller to end."""
        return self._late

    def close(self) -> None:
        """End a check that was begun and is of no use any more."""
        if self._ahead is not None:
            self._ahead.end()
        if self._late is not None:
            self._late.end()
        self._ahead = self._late = None

    def _goes_on_over(self, chain: tuple[tuple[Digest, str], ...]) -> bool:
        """Tell whether all layers of a chain are sound but for those that a check goes on over, which may be late."""
        walk = self._ahead
        if walk is None or not self._may_be_late or not chain or len(chain) > MAX_DEPTH or walk.is_over():
            return False
        if not all(layer in self._sound or layer in walk.layers for _, layer in chain):
            return False
        self._ahead, self._late = None, LateCheck(self, chain[0][0], walk)
        return True

    def unsound(self, tree: Digest) -> str:
        """Return what is wrong with a layer of a tree, "" if nothing is. Nothing is put aside or made again."""
        chain = self.chain(tree)
        for (at, layer), below in zip(chain, (*(at for at, _ in chain[1:]), None), strict=True):
            since = self._checked(at, layer)
            if layer not in self._sound and since is not None:
                folder = f"{self.path}/{layer}"
                result = check_layer(folder, at, below, self._trees, since=since, owners=self._objects.owners)
                if result.reason:
                    return result.reason
        return ""

    def _start_walk(self, chain: tuple[tuple[Digest, str], ...]) -> LayerWalk | None:
        """Start to look for changes in those layers that were checked before and not yet by this process."""
        times = {layer: self._checked(tree, layer) for tree, layer in chain if layer not in self._sound}
        return LayerWalk.start(self.path, {layer: since for layer, since in times.items() if since})

    def _check(self, chain: tuple[tuple[Digest, str], ...]) -> bool:
        """Tell whether all layers of a chain are sound, and put the first aside that is not."""
        walk, self._ahead = self._ahead, None
        walk = walk or self._start_walk(chain)
        if walk is not None:
            self._sound |= walk.sound_layers()
        for (tree, layer), below in zip(chain, (*(tree for tree, _ in chain[1:]), None), strict=True):
            if layer not in self._sound and not self._check_layer(tree, below, layer):
                return False
        return True

    def _checked(self, tree: Digest, layer: str) -> int | None:
        """Return when a layer was checked last, in nanoseconds; 0 if all of it is to be read, None if it is not on
        record."""
        row = self._database.row("SELECT checked, boot, synced FROM stacks WHERE tree = ? AND layer = ?", (tree, layer))
        if row is None:
            return None
        checked, made_in, synced = row
        # What was not on disk for sure when the machine stopped is read in full.
        since = checked if synced or made_in == boot.boot_id() else 0
        # The clock went back: what was changed after the check may have an earlier time than that, so all is read.
        return 0 if since > time.time_ns() + CLOCK_STEP else since

    def _check_layer(self, tree: Digest, below: Digest | None, layer: str) -> bool:
        since = self._checked(tree, layer)
        if since is None:
            self.forget()  # another process put it aside
            return False
        now = time.time_ns()
        folder = f"{self.path}/{layer}"
        result = check_layer(folder, tree, below, self._trees, since=since, owners=self._objects.owners)
        if not result.reason:
            self._sound.add(layer)
            put_back_times(result.later)
            if result.reread and not self._database.read_only:
                self._database.write(
                    "UPDATE stacks SET checked = ?, boot = ? WHERE tree = ? AND layer = ?",
                    (now, boot.boot_id(), tree, layer),
                )
            return True
        if self._database.read_only:
            raise LayerChanged(layer, result.reason)
        self._put_aside(layer)
        for entry in result.files:
            self._objects.check_all(entry)
        self.mended.append(f"a layer was changed by something else ({result.reason}): it was put aside and made again")
        return False

    def _put_aside(self, layer: str) -> None:
        """Take a layer away, and the records of all stacks that are built on it."""
        with self._database.transaction():
            gone = [row[0] for row in self._database.rows("SELECT tree FROM stacks WHERE layer = ?", (layer,))]
            while gone:
                tree = gone.pop()
                self._database.write("DELETE FROM stacks WHERE tree = ?", (tree,))
                gone += [row[0] for row in self._database.rows("SELECT tree FROM stacks WHERE below = ?", (tree,))]
        self.forget()
        put_aside(f"{self.path}/{layer}", os.path.dirname(self.path))

    def chain(self, tree: Digest) -> tuple[tuple[Digest, str], ...]:
        """Return (tree, layer) from the top to the bottom, () if the tree has no stack."""
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
            if row is None or len(chain) == MAX_LAYERS or not os.path.isdir(f"{self.path}/{row[1]}"):
                return ()
            chain.append((at, row[1]))
            at = row[0]
        self._chains[tree] = tuple(chain)
        return self._chains[tree]

    def adopt(self, tree: Digest, below: Digest | None, directory: str) -> None:
        """Make a finished directory the layer of `tree` over `below`."""
        name = os.urandom(6).hex()
        failpoints.at(failpoints.LAYER)
        os.rename(directory, f"{self.path}/{name}")
        failpoints.at(failpoints.STACK)
        chain = ((tree, name), *(self.chain(below) if below is not None else ()))
        self._database.write(
            "INSERT OR REPLACE INTO stacks VALUES (?, ?, ?, ?, ?, ?, 0)",
            (tree, below, name, len(chain), time.time_ns(), boot.boot_id()),
        )
        self._sound.add(name)
        self._chains[tree] = chain

    def forget(self) -> None:
        """Drop what is held in memory, after rows were changed."""
        self._chains.clear()

    def _add(self, tree: Digest, below: Digest | None, *, again: bool = False) -> tuple[tuple[Digest, str], ...]:
        """Make a layer of `tree` over `below`; return the chain of `tree`.

        If others have made one meanwhile, that stays, unless it is to be made `again`: `below` may stand on it, and the
        two would go round in a circle.
        """
        from envbuild.store.layer_writer import LayerWriter  # most trees have their layers

        with self._work.workspace() as space:
            counts = self.occurrences.of(below)
            writer = LayerWriter(self._trees, self._objects, counts)
            writer.write(space.upper, tree, below)
            with self._database.transaction():
                self.forget()
                if again or not self.chain(tree):
                    self.adopt(tree, below, space.upper)
        return self.chain(tree)

    def fold(self, tree: Digest) -> None:
        """Make a checkout of `tree`: a stack of one layer, with all files in it.

        Other stacks that are built on this tree's stand on the checkout from then on. Raises StoreDamaged. Two that do
        this at once each make a whole one, and the later one counts.
        """
        if len(self.chain(tree)) != 1:
            self._add(tree, None, again=True)

    def _fold(self, chain: tuple[tuple[Digest, str], ...]) -> tuple[tuple[Digest, str], ...]:
        """Return a shorter chain of the same tree: one layer over the chain's bottom."""
        return self._add(chain[0][0], chain[-1][0], again=True)


class LateCheck:
    """A check of layers that goes on while they are mounted already."""

    def __init__(self, stacks: Stacks, tree: Digest, walk: LayerWalk) -> None:
        self._stacks = stacks
        self._tree = tree
        self._walk: LayerWalk | None = walk

    def wait(self) -> str:
        """Wait for its end; return what is wrong with the layers, "" if nothing is. For one caller, in any thread."""
        walk, self._walk = self._walk, None
        if walk is None or walk.sound_layers():
            return ""
        try:
            reason = self._stacks.unsound(self._tree)
            if not reason:
                self._stacks.layers(self._tree)  # touched, and as it was: it need not be read again
        except StoreDamaged as damage:
            return damage.message
        return reason

    def mend(self) -> None:
        """Put aside what is damaged, which nothing uses any more, and make it again. Raises StoreDamaged."""
        self._stacks.layers(self._tree)

    def end(self) -> None:
        """End it, if nobody waited for it."""
        if self._walk is not None:
            self._walk.end()
            self._walk = None
