"""Images, the tags that name them, and where each tag has been."""

from __future__ import annotations

import os
import time
from collections.abc import Callable

from envbuild.errors import UsageError
from envbuild.record import Record
from envbuild.store import publish
from envbuild.store.database import Database
from envbuild.tree.entry import Digest

LATEST = "latest"
SHORTEST_PREFIX = 4


class Image(Record):
    """An image: its digest, its tree, its facts and the detail of its build as JSON text, and when it was made
    (seconds since 1970)."""

    digest: Digest
    tree: Digest
    facts: str
    detail: str
    made: float


class Tag(Record):
    """NAME:TAG, the image that it names, and since when (seconds since 1970)."""

    name: str
    tag: str
    image: Digest
    moved: float

    @property
    def full(self) -> str:
        """`NAME:TAG`."""
        return f"{self.name}:{self.tag}"


class Failure(Record):
    """Where the last build of a recipe failed: the tree as the step left it, and what the step was, as JSON."""

    recipe: str
    tree: Digest
    facts: str
    detail: str
    made: float


class NoSuchImage(UsageError):
    """No image has this name or digest."""

    def __init__(self, reference: str, near: str | None, *, any_image: bool) -> None:
        hint = f"did you mean '{near}'?" if near else "`envbuild images` lists what there is"
        super().__init__(
            f"there is no image '{reference}'", hint if any_image else "make one first: envbuild build RECIPE.env"
        )


class AmbiguousDigest(UsageError):
    """A digest was shortened to something that fits several images."""

    def __init__(self, reference: str, matches: list[str]) -> None:
        super().__init__(
            f"'{reference}' fits {len(matches)} images",
            "give more digits: " + ", ".join(m[:16] for m in matches[:5]),
        )


class BadName(UsageError):
    """A text that can't name an image."""

    def __init__(self, name: str) -> None:
        super().__init__(
            f"'{name}' can't name an image",
            "names and tags begin with a letter or digit and hold letters, digits, `.`, `_` and `-`, as in web:v1.2",
        )


def split_name(reference: str) -> tuple[str, str]:
    """(name, tag) of `NAME` or `NAME:TAG`. Raises BadName."""
    name, colon, tag = reference.partition(":")
    for part in (name, tag) if colon else (name,):
        if not part or not part[0].isalnum() or not part.isascii() or part.strip("._-" + _ALPHANUMERIC):
            raise BadName(reference)
    return name, tag or LATEST


_ALPHANUMERIC = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789"


class Images:
    """The images and tags of one store."""

    def __init__(self, database: Database, sync: Callable[[], None]) -> None:
        self._database = database
        self._sync = sync

    def get(self, digest: Digest) -> Image | None:
        """The image of this whole digest."""
        row = self._database.row("SELECT * FROM images WHERE digest = ?", (digest,))
        return None if row is None else Image(*row)

    def put(self, image: Image) -> None:
        """Records an image; of one that is there already, the detail of its last build is kept."""
        publish.at(publish.IMAGE)
        self._database.write(
            "INSERT INTO images VALUES (?, ?, ?, ?, ?) ON CONFLICT (digest) DO UPDATE "
            "SET tree = excluded.tree, facts = excluded.facts, detail = excluded.detail",
            (image.digest, image.tree, image.facts, image.detail, image.made),
        )

    def all(self) -> list[Image]:
        """All images, the newest first."""
        return [Image(*row) for row in self._database.rows("SELECT * FROM images ORDER BY made DESC, digest")]

    def tags(self, image: Digest | None = None) -> list[Tag]:
        """All tags, or those of one image, by name."""
        where, values = ("WHERE image = ?", (image,)) if image is not None else ("", ())
        return [Tag(*row) for row in self._database.rows(f"SELECT * FROM tags {where} ORDER BY name, tag", values)]

    def tagged(self, name: str, tag: str) -> Digest | None:
        """The digest that NAME:TAG names."""
        row = self._database.row("SELECT image FROM tags WHERE name = ? AND tag = ?", (name, tag))
        return None if row is None else row[0]

    def move(self, name: str, tag: str, image: Digest, reason: str) -> None:
        """Makes NAME:TAG name an image. All that the image needs is on disk before."""
        self._sync()
        publish.at(publish.TAG)
        now = time.time()
        with self._database.transaction():
            self._database.write("INSERT OR REPLACE INTO tags VALUES (?, ?, ?, ?)", (name, tag, image, now))
            self._database.write(
                "INSERT INTO history (name, tag, image, moved, reason) VALUES (?, ?, ?, ?, ?)",
                (name, tag, image, now, reason),
            )

    def remove(self, name: str, tag: str, reason: str = "untag") -> None:
        """Takes a tag away; its history stays. Raises NoSuchImage."""
        with self._database.transaction():
            if not self._database.write("DELETE FROM tags WHERE name = ? AND tag = ?", (name, tag)):
                raise self._missing(f"{name}:{tag}")
            self._database.write(
                "INSERT INTO history (name, tag, image, moved, reason) VALUES (?, ?, NULL, ?, ?)",
                (name, tag, time.time(), reason),
            )

    def resolve(self, reference: str) -> Image:
        """The image of `NAME`, `NAME:TAG`, a digest or a unique beginning of one, with or without `sha256:`.

        Raises NoSuchImage and AmbiguousDigest.
        """
        digits = reference.removeprefix("sha256:")
        if digits == reference:
            name, _, tag = reference.partition(":")
            tagged = self.tagged(name, tag or LATEST)
            image = self.get(tagged) if tagged is not None else None
            if image is not None:
                return image
        if len(digits) >= SHORTEST_PREFIX and not digits.strip("0123456789abcdef"):
            rows = self._database.rows(
                "SELECT digest FROM images WHERE digest >= ? AND digest < ? LIMIT 9", (digits, digits + "g")
            )
            if len(rows) > 1:
                raise AmbiguousDigest(reference, [row[0] for row in rows])
            found = self.get(rows[0][0]) if rows else None
            if found is not None:
                return found
        raise self._missing(reference)

    def fail(self, failure: Failure) -> None:
        """Keeps where a recipe's last build failed."""
        self._database.write(
            "INSERT OR REPLACE INTO failures VALUES (?, ?, ?, ?, ?)",
            (failure.recipe, failure.tree, failure.facts, failure.detail, failure.made),
        )

    def succeed(self, recipe: str) -> None:
        """Drops the failure of a recipe that was built."""
        if self._database.row("SELECT 1 FROM failures WHERE recipe = ?", (recipe,)) is not None:
            self._database.write("DELETE FROM failures WHERE recipe = ?", (recipe,))

    def failure(self, recipe: str | None) -> Failure | None:
        """The failure of this recipe, or the last one of all."""
        where, values = ("WHERE recipe = ?", (recipe,)) if recipe else ("", ())
        row = self._database.row(f"SELECT * FROM failures {where} ORDER BY made DESC LIMIT 1", values)
        return None if row is None else Failure(*row)

    def _missing(self, reference: str) -> NoSuchImage:
        from difflib import get_close_matches  # only on a mistake

        names = [tag.full for tag in self.tags()] + [tag.name for tag in self.tags()]
        near = get_close_matches(reference, names, 1)
        return NoSuchImage(reference, near[0] if near else None, any_image=bool(names))


def sync_file_system(path: str) -> None:
    """Writes all that was changed on the file system of `path` to disk: syncfs(2)."""
    import ctypes  # only where something was built

    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        library = ctypes.CDLL(None, use_errno=True)
        if library.syncfs(descriptor) != 0:
            number = ctypes.get_errno()
            raise OSError(number, os.strerror(number), path)
    finally:
        os.close(descriptor)
