"""What was found damaged and put aside: its objects and directories have to be made again before they are relied on.

A result that leads to something lost is no result until that is back. So a build runs the step that made it, and
all later steps are cached again if it comes out the same.
"""

from __future__ import annotations

import os

from envbuild.store.database import Database
from envbuild.tree.entry import Digest

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable


KIND = "lost"
"""Under which the database remembers, in the table `memo`."""


class Lost:
    """The ids of objects and digests of directories that are gone, for one store."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._known: set[Digest] | None = None

    def add(self, identity: Digest) -> None:
        """Remember that an object or a directory was lost."""
        self.identities().add(identity)
        if not self._database.read_only:
            self._database.write("INSERT OR REPLACE INTO memo VALUES (?, ?, ?)", (KIND, identity, b""))

    def identities(self) -> set[Digest]:
        """Return all that is lost; usually nothing."""
        if self._known is None:
            self._known = {row[0] for row in self._database.rows("SELECT key FROM memo WHERE kind = ?", (KIND,))}
        return self._known

    def forget_found(self, is_there: Callable[[Digest], bool]) -> None:
        """Drop what is there again."""
        for identity in [identity for identity in self.identities() if is_there(identity)]:
            self.identities().discard(identity)
            if not self._database.read_only:
                self._database.write("DELETE FROM memo WHERE kind = ? AND key = ?", (KIND, identity))


def put_aside(path: str, store: str) -> None:
    """Move a damaged file or directory of a store to its directory `damaged`."""
    aside = f"{store}/damaged"
    os.makedirs(aside, mode=0o700, exist_ok=True)
    try:
        os.rename(path, f"{aside}/{os.urandom(4).hex()}-{os.path.basename(path)}")
    except FileNotFoundError:
        pass
