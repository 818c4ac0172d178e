"""Images, how they are found, and where builds failed."""

from __future__ import annotations

import os
import time

from envbuild.errors import UsageError
from envbuild.record import Record
from envbuild.store import failpoints
from envbuild.store.database import Database
from envbuild.store.image_reference import digits_of, parse_reference
from envbuild.store.record_text import DETAIL, FAILURE, read_text, typed
from envbuild.store.tags import NoSuchEntry, Tags
from envbuild.text.dates import is_count, moment_of
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


class NoSuchImage(UsageError):
    """No image has this name or digest."""

    def __init__(self, reference: str, names: Sequence[str]) -> None:
        from envbuild.text.suggestion import did_you_mean  # only on a mistake

        hint = did_you_mean(reference, names, "`envbuild images` lists what there is")
        super().__init__(
            f"there is no image '{reference}'", hint if names else "make one first: envbuild build RECIPE.env"
        )


class ImageGone(UsageError):
    """History names an image that `gc` has removed."""

    def __init__(self, reference: str, digest: Digest) -> None:
        super().__init__(
            f"{reference} was {digest[:12]}, which is no longer in the store",
            "check the recipe and its lock out as they were (envbuild log has the commit), and build them",
        )


class AmbiguousDigest(UsageError):
    """A digest was shortened to something that fits several images."""

    def __init__(self, reference: str, matches: list[str]) -> None:
        super().__init__(
            f"'{reference}' fits {len(matches)} images",
            "give more digits: " + ", ".join(m[:16] for m in matches[:5]),
        )


class Images:
    """The images of one store."""

    def __init__(self, database: Database, tags: Tags) -> None:
        self._database = database
        self._tags = tags

    def get(self, digest: Digest) -> Image | None:
        """Return the image of this whole digest."""
        row = self._database.row("SELECT * FROM images WHERE digest = ?", (digest,))
        return None if row is None else _image(row)

    def put(self, image: Image) -> None:
        """Record an image; of one that is there already, the detail of its last build is kept."""
        failpoints.at(failpoints.IMAGE)
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

    def resolve(self, reference: str) -> Image:
        """Return the image of `NAME`, `NAME:TAG`, either with `@{N}` or `@{DATE}`, or of a digest or a unique beginning
        of one, with or without `sha256:`.

        Raises NoSuchImage, AmbiguousDigest, NoSuchEntry, BadMoment and ImageGone.
        """
        parsed = parse_reference(reference)
        if parsed is not None and parsed.which is not None:
            return self.past(parsed.name, parsed.tag, parsed.which)
        if parsed is not None:
            tagged = self._tags.image_of(parsed.name, parsed.tag)
            image = self.get(tagged) if tagged is not None else None
            if image is not None:
                return image
        digits = digits_of(reference)
        if digits is not None:
            rows = self._database.rows(
                "SELECT digest FROM images WHERE digest >= ? AND digest < ? LIMIT 9", (digits, digits + "g")
            )
            if len(rows) > 1:
                raise AmbiguousDigest(reference, [row[0] for row in rows])
            found = self.get(rows[0][0]) if rows else None
            if found is not None:
                return found
        raise self._missing(reference)

    def past(self, name: str, tag: str, which: str) -> Image:
        """Return what NAME:TAG named `which` moves ago, or at that time."""
        if is_count(which):
            entry = self._tags.entry_back(name, tag, int(which))
        else:
            entry = self._tags.entry_at(name, tag, moment_of(which, time.time()), which)
        if entry.image is None:
            raise NoSuchEntry(f"{name}:{tag}", which, "the tag was taken away then")
        image = self.get(entry.image)
        if image is None:
            raise ImageGone(f"{name}:{tag}@{{{which}}}", entry.image)
        return image

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

    def failure(self, recipe: str | None) -> Failure | None:
        """Return the failure of this recipe, or the last one of all."""
        where, values = ("WHERE recipe = ?", (recipe,)) if recipe else ("", ())
        row = self._database.row(f"SELECT * FROM failures {where} ORDER BY made DESC LIMIT 1", values)
        return None if row is None else _failure(row)

    def failures(self) -> list[Failure]:
        """Return where the last builds of recipes failed."""
        return [_failure(row) for row in self._database.rows("SELECT * FROM failures")]

    def _missing(self, reference: str) -> NoSuchImage:
        tags = self._tags.all()
        return NoSuchImage(reference, [tag.full for tag in tags] + [tag.name for tag in tags])


def _image(row: Sequence[Any]) -> Image:
    return Image(*typed(row, (str, str, str, str, float), "an image on record"))


def _failure(row: Sequence[Any]) -> Failure:
    return Failure(*typed(row, (str, str, str, str, float), "a failed build on record"))


def sync_file_system(path: str) -> None:
    """Write all that was changed on the file system of `path` to disk: syncfs(2)."""
    import ctypes  # only where something was built

    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        library = ctypes.CDLL(None, use_errno=True)
        if library.syncfs(descriptor) != 0:
            number = ctypes.get_errno()
            raise OSError(number, os.strerror(number), path)
    finally:
        os.close(descriptor)
