"""The records of images, and of where builds failed."""

from __future__ import annotations

import os

from envbuild.record import Record
from envbuild.store import failpoints
from envbuild.store.database import Database
from envbuild.store.record_text import DETAIL, FAILURE, read_text, typed
from envbuild.tree.entry import Digest

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Any


class Image(Record):
    """An image: its digest, its tree, its facts and the detail of its build as JSON text, and when it was made
    (seconds since 1970)."""

    digest: Digest
    tree: Digest
    facts: str
    detail: str
    made: float

    @property
    def known(self) -> dict[str, Any]:
        """`detail`, read. Raises StoreDamaged."""
        return read_text(self.detail, DETAIL, f"what is on record of the build of image {self.digest[:12]}")


class Failure(Record):
    """Where the last build of a recipe failed: the tree as the step left it, and what the step was, as JSON."""

    recipe: str
    tree: Digest
    facts: str
    detail: str
    made: float

    @property
    def known(self) -> dict[str, Any]:
        """`detail`, read. Raises StoreDamaged."""
        return read_text(self.detail, FAILURE, "what is on record of the last build that failed")


class Images:
    """The images of one store."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def get(self, digest: Digest) -> Image | None:
        """Return the image of this whole digest."""
        row = self._database.row("SELECT * FROM images WHERE digest = ?", (digest,))
        return None if row is None else _image(row)

    def put(self, image: Image) -> None:
        """Record an image; of one that is there already, the detail of its last build is kept. A build upon the image
        itself that changed nothing doesn't say how it was made."""
        failpoints.at(failpoints.IMAGE)
        stages = image.known.get("stages", [])
        bases = {stage["origin"] for stage in stages} | {f"image sha256:{stage.get('image')}" for stage in stages}
        if f"image sha256:{image.digest}" in bases and self.get(image.digest) is not None:
            return
        self._database.write(
            "INSERT INTO images VALUES (?, ?, ?, ?, ?) ON CONFLICT (digest) DO UPDATE "
            "SET tree = excluded.tree, facts = excluded.facts, detail = excluded.detail",
            (image.digest, image.tree, image.facts, image.detail, image.made),
        )

    def of_tree(self, tree: Digest) -> Image | None:
        """Return the newest image with this tree."""
        row = self._database.row("SELECT * FROM images WHERE tree = ? ORDER BY made DESC LIMIT 1", (tree,))
        return None if row is None else _image(row)

    def all(self) -> list[Image]:
        """Return all images, the newest first."""
        return [_image(row) for row in self._database.rows("SELECT * FROM images ORDER BY made DESC, digest")]

    def starting_with(self, digits: str) -> list[Digest]:
        """Return the digests of images that begin with these digits, nine at most."""
        rows = self._database.rows(
            "SELECT digest FROM images WHERE digest >= ? AND digest < ? LIMIT 9", (digits, digits + "g")
        )
        return [row[0] for row in rows]

    def fail(self, failure: Failure) -> None:
        """Keep where a recipe's last build failed."""
        self._database.write(
            "INSERT OR REPLACE INTO failures VALUES (?, ?, ?, ?, ?)",
            (failure.recipe, failure.tree, failure.facts, failure.detail, failure.made),
        )

    def succeed(self, recipe: str) -> None:
        """Drop the failure of a recipe that was built."""
        if self._database.row("SELECT 1 FROM failures WHERE recipe = ?", (recipe,)) is not None:
            self._database.write("DELETE FROM failures WHERE recipe = ?", (recipe,))

    def failure(self, recipe: str | None, project: str = "") -> Failure | None:
        """Return the failure of this recipe, or the last one of the project with this id, or of all if that is ""."""
        where = ""
        values: tuple[str, ...] = ()
        if recipe:
            where, values = "WHERE recipe = ?", (recipe,)
        elif project:
            where, values = "WHERE recipe >= ? AND recipe < ?", (f"{project}/", f"{project}/\x7f")
        row = self._database.row(f"SELECT * FROM failures {where} ORDER BY made DESC LIMIT 1", values)
        return None if row is None else _failure(row)

    def failures(self) -> list[Failure]:
        """Return where the last builds of recipes failed."""
        return [_failure(row) for row in self._database.rows("SELECT * FROM failures")]


def _image(row: Sequence[Any]) -> Image:
    return Image(*typed(row, (str, str, str, str, float), "an image on record"))


def _failure(row: Sequence[Any]) -> Failure:
    return Failure(*typed(row, (str, str, str, str, float), "a failed build on record"))


def sync_file_system(path: str) -> None:
    """Write all that was changed on the file system of `path` to disk: syncfs(2)."""
    from envbuild.linux.syscalls import syncfs  # only where something was built

    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        syncfs(descriptor)
    finally:
        os.close(descriptor)
