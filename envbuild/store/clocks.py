"""The latest file of each tree: what a step's times begin from (tree/times.py), remembered by directory."""

from __future__ import annotations

from envbuild.store.database import Database
from envbuild.store.trees import StoredTrees
from envbuild.tree.entry import Digest
from envbuild.tree.times import Clock, latest

KIND = "latest"
"""Of these rows in the memo."""
RETIMED = "retimed"
"""Of those that say what a directory is with other times."""
_MIN_KEPT = 64
"""As many directories have to be read again before their times are written down: a step changes a few."""
_MAX_REMEMBERED = 1 << 16


class Clocks:
    """The clocks of the trees of one store."""

    def __init__(self, database: Database, trees: StoredTrees) -> None:
        self._database = database
        self._trees = trees
        self._known: dict[Digest, int] = {}

    def of(self, tree: Digest, epoch: int) -> Clock:
        """Return the clock of a tree whose steps have this epoch (seconds). Raises StoreDamaged."""
        return Clock(epoch, self._latest(tree))

    def get(self, directory: Digest) -> int | None:
        """Return what is known of a directory: the time of its latest file in nanoseconds."""
        known = self._known.get(directory)
        if known is None:
            row = self._database.row("SELECT value FROM memo WHERE kind = ? AND key = ?", (KIND, directory))
            if row is None:
                return None
            known = self._known[directory] = int(row[0])
        return known

    def retimed(self, clock: Clock, directory: Digest) -> Digest | None:
        """Return the directory that one of a recipe's folder is with this clock's times, if it is known and kept."""
        row = self._database.row(
            "SELECT value FROM memo WHERE kind = ? AND key = ?", (RETIMED, f"{clock.name} {directory}")
        )
        digest = None if row is None else bytes(row[0]).decode()
        return digest if digest is not None and self._trees.has(digest) else None

    def remember(self, clock: Clock, directory: Digest, retimed: Digest) -> None:
        """Note what a directory is with this clock's times."""
        self._database.write(
            "INSERT OR REPLACE INTO memo VALUES (?, ?, ?)", (RETIMED, f"{clock.name} {directory}", retimed.encode())
        )

    def _latest(self, tree: Digest) -> int:
        known = self.get(tree)
        if known is not None:
            return known
        times = latest(self._trees, tree, self)
        if len(self._known) > _MAX_REMEMBERED:
            self._known.clear()
        self._known |= times
        if len(times) >= _MIN_KEPT and not self._database.read_only:
            rows = [(KIND, digest, b"%d" % time) for digest, time in times.items()]
            self._database.write_many("INSERT OR REPLACE INTO memo VALUES (?, ?, ?)", rows)
        return times[tree]
