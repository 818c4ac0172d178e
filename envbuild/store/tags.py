"""Tags, and where each has been: every move is an entry of its history, which nothing ever changes."""

from __future__ import annotations

import time

from envbuild.errors import UsageError, WorkFailed, fields
from envbuild.record import Record
from envbuild.store import failpoints
from envbuild.store.branch_tags import PREFIX
from envbuild.store.database import Database
from envbuild.store.record_text import KNOWN, read_text, typed
from envbuild.text import json
from envbuild.tree.entry import Digest

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from typing import Any

    from envbuild.store.projects import Projects

BUILD, TAG, UNTAG, ROLLBACK, REPAIR = "build", "tag", "untag", "rollback", "fsck"
COMMIT, GC, IMPORT, PULL, PROMOTE = "commit", "gc", "import", "pull", "promote"
MERGE, REBASE, BISECT, CAPTURE = "merge", "rebase", "bisect", "capture"
_PAGE = 256
"""Entries that are read at once, so that the first of many are there at once."""


class Tag(Record):
    """NAME:TAG, the image that it names, since when (seconds since 1970), and whether it refuses to move.

    The name is `PROJECT/NAME` for one of a project, with the project's id (projects.py).
    """

    name: str
    tag: str
    image: Digest
    moved: float
    immutable: bool = False

    @property
    def full(self) -> str:
        """`NAME:TAG`."""
        return f"{self.name}:{self.tag}"


class HistoryEntry(Record):
    """One move of a tag: to `image` (None when it was taken away), at a time in seconds since 1970.

    `action` is build, tag, untag, rollback, commit, import, pull, promote, merge, bisect, capture, gc or fsck; `detail`
    is JSON with what is known: `user`, of a build `recipe`, `commit`, `branch`, `dirty`, `file`, `root`, `seconds`,
    `ran`, `cached`, of a tag `source`, of a rollback `entry`, the number of the entry that it went back to, of a commit
    `instance` and `from`, the image that it ran, of an import `file`, of a pull `reference`, `manifest`, its digest
    there, and `promotions`, what the registry says of how it came to its tags, of a promotion `host`, the machine,
    `source`, `checks`, what had passed, and `replaced`, the digest that it named before, of a merge `source` and
    `from`, the two sides, and `base`, of a capture `host`, `reason` and
    `trigger`, what started it.
    """

    number: int
    name: str
    tag: str
    image: Digest | None
    moved: float
    action: str
    detail: str = "{}"

    @property
    def full(self) -> str:
        """`NAME:TAG`."""
        return f"{self.name}:{self.tag}"

    @property
    def known(self) -> dict[str, Any]:
        """`detail`, read. Raises StoreDamaged."""
        return read_text(self.detail, KNOWN, f"what is on record of move {self.number} of {self.full}")


@fields
class TagRefuses(WorkFailed):
    """The tag was made immutable, and would come to name another image."""

    tag: Tag

    def text(self) -> tuple[str, str]:
        return (
            f"{self.tag.full} is immutable and names {self.tag.image[:12]}",
            f"choose another tag; or take it away first: envbuild untag --force {self.tag.full}",
        )


def in_projects(places: Sequence[tuple[str, str]]) -> str:
    """Return a hint that names the projects that have a name, each with its path."""
    listed = ", ".join(f"{name} ({path})" for name, path in places[:5])
    return f"a project has it: {listed}" if len(places) == 1 else f"projects have it: {listed}"


@fields
class NoSuchTag(UsageError):
    """Nothing has this name."""

    full: str
    names: Sequence[str]
    elsewhere: Sequence[tuple[str, str]] = ()

    def text(self) -> tuple[str, str]:
        from envbuild.text.suggestion import did_you_mean  # only on a mistake

        hint = did_you_mean(self.full, self.names, "`envbuild images` lists what there is")
        if self.elsewhere:
            hint = in_projects(self.elsewhere)
        return f"there is no image '{self.full}'", hint


@fields
class NoSuchEntry(UsageError):
    """The history of a tag does not reach this far."""

    full: str
    which: str
    reason: str

    def text(self) -> tuple[str, str]:
        return f"{self.full}@{{{self.which}}}: {self.reason}", f"see what there is: envbuild log {self.full}"


class Tags:
    """The tags of one store."""

    def __init__(self, database: Database, projects: Projects, sync: Callable[[], None]) -> None:
        self._database = database
        self._projects = projects
        self._sync = sync

    def all(self, image: Digest | None = None) -> list[Tag]:
        """Return all tags, or those of one image, by name."""
        where, values = ("WHERE image = ?", (image,)) if image is not None else ("", ())
        query = f"SELECT name, tag, image, moved, immutable FROM tags {where} ORDER BY name, tag"
        return [_tag(row) for row in self._database.rows(query, values)]

    def get(self, name: str, tag: str) -> Tag | None:
        """Return the tag NAME:TAG."""
        query = "SELECT name, tag, image, moved, immutable FROM tags WHERE name = ? AND tag = ?"
        row = self._database.row(query, (name, tag))
        return None if row is None else _tag(row)

    def image_of(self, name: str, tag: str) -> Digest | None:
        """Return the digest that NAME:TAG names."""
        row = self._database.row("SELECT image FROM tags WHERE name = ? AND tag = ?", (name, tag))
        return None if row is None else row[0]

    def move(
        self,
        names: Sequence[tuple[str, str]],
        image: Digest,
        action: str,
        known: dict[str, Any] | None = None,
        *,
        immutable: bool = False,
    ) -> None:
        """Make each (name, tag) name an image, all or none. What the image needs is on disk before.

        With `immutable` they refuse to name another from now on. Raises TagRefuses.
        """
        for name, tag in names:
            self.refuse_if_immutable(name, tag, image)
        # What a tag names was brought to disk when it came to name it, and nothing has removed it since.
        if self._database.row("SELECT 1 FROM tags WHERE image = ?", (image,)) is None:
            self._sync()
        failpoints.at(failpoints.TAG)
        now = time.time()
        detail = json.dumps(known or {}, sort_keys=True, separators=(",", ":"))
        with self._database.transaction():
            for name, tag in names:
                before = self.refuse_if_immutable(name, tag, image)
                keeps = immutable or (before is not None and before.immutable)
                row = (name, tag, image, now, keeps)
                self._database.write("INSERT OR REPLACE INTO tags VALUES (?, ?, ?, ?, ?)", row)
                self._record(name, tag, image, now, action, detail)

    def remove(
        self, name: str, tag: str, action: str = UNTAG, known: dict[str, Any] | None = None, *, force: bool = False
    ) -> None:
        """Take a tag away; its history stays. Raises NoSuchTag, and TagRefuses without `force`."""
        with self._database.transaction():
            current = self.get(name, tag)
            if current is None:
                shown = self._projects.shown
                raise NoSuchTag(shown(f"{name}:{tag}"), [shown(entry.full) for entry in self.all()])
            if current.immutable and not force:
                raise TagRefuses(self._shown(current))
            self._database.write("DELETE FROM tags WHERE name = ? AND tag = ?", (name, tag))
            detail = json.dumps(known or {}, sort_keys=True, separators=(",", ":"))
            self._record(name, tag, None, time.time(), action, detail)

    def refuse_if_immutable(self, name: str, tag: str, image: Digest) -> Tag | None:
        """Return the tag as it is, if it may come to name `image`. Raises TagRefuses."""
        current = self.get(name, tag)
        if current is not None and current.immutable and current.image != image:
            raise TagRefuses(self._shown(current))
        return current

    def history(self, name: str, tag: str) -> Iterator[HistoryEntry]:
        """Return the moves of a tag, the newest first, read as they are asked for."""
        last = -1
        while True:
            before, values = ("AND number < ?", (last,)) if last >= 0 else ("", ())
            query = f"{_SELECT} WHERE name = ? AND tag = ? {before} ORDER BY number DESC LIMIT {_PAGE}"
            rows = self._database.rows(query, (name, tag, *values))
            for row in rows:
                yield _entry(row)
            if len(rows) < _PAGE:
                return
            last = rows[-1][0]

    def way_of(self, image: Digest, until: int) -> list[HistoryEntry]:
        """Return the moves by which any tag came to name this image, up to the entry numbered `until`, the oldest
        first."""
        query = f"{_SELECT} WHERE image = ? AND number <= ? ORDER BY number"
        return [_entry(row) for row in self._database.rows(query, (image, until))]

    def moves_to(self, image: Digest) -> list[HistoryEntry]:
        """Return the moves by which any tag came to name this image, the newest first."""
        query = f"{_SELECT} WHERE image = ? ORDER BY number DESC"
        return [_entry(row) for row in self._database.rows(query, (image,))]

    def entry_back(self, name: str, tag: str, count: int) -> HistoryEntry:
        """Return the entry `count` moves back; 0 is the newest. Raises NoSuchEntry."""
        query = f"{_SELECT} WHERE name = ? AND tag = ? ORDER BY number DESC LIMIT 1 OFFSET ?"
        row = self._database.row(query, (name, tag, count))
        if row is None:
            total = self.length(name, tag)
            reason = f"it has moved {total} times" if total else "it has no history"
            raise NoSuchEntry(self._projects.shown(f"{name}:{tag}"), str(count), reason)
        return _entry(row)

    def entry_at(self, name: str, tag: str, moment: float, text: str) -> HistoryEntry:
        """Return what the tag named before a point in time (seconds since 1970), which the user called `text`.

        Raises NoSuchEntry.
        """
        query = f"{_SELECT} WHERE name = ? AND tag = ? AND moved < ? ORDER BY number DESC LIMIT 1"
        row = self._database.row(query, (name, tag, moment))
        if row is None:
            raise NoSuchEntry(self._projects.shown(f"{name}:{tag}"), text, "its history begins later")
        return _entry(row)

    def entry(self, number: int) -> HistoryEntry | None:
        """Return the entry of this number, whichever tag's it is."""
        row = self._database.row(f"{_SELECT} WHERE number = ?", (number,))
        return None if row is None else _entry(row)

    def length(self, name: str, tag: str) -> int:
        """Return how many moves a tag's history has."""
        row = self._database.row("SELECT count(*) FROM history WHERE name = ? AND tag = ?", (name, tag))
        assert row is not None
        return int(row[0])

    def is_known(self, name: str, tag: str) -> bool:
        """Return whether there is such a tag, or was one."""
        is_there = self.image_of(name, tag) is not None
        query = "SELECT 1 FROM history WHERE name = ? AND tag = ? LIMIT 1"
        return is_there or self._database.row(query, (name, tag)) is not None

    def has_name(self, name: str) -> bool:
        """Return whether a name has any tag."""
        return self._database.row("SELECT 1 FROM tags WHERE name = ? LIMIT 1", (name,)) is not None

    def branches_of(self, name: str) -> list[str]:
        """Return the tags of branches that a name has."""
        query = "SELECT tag FROM tags WHERE name = ? AND tag >= ? AND tag < ? ORDER BY tag"
        return [row[0] for row in self._database.rows(query, (name, PREFIX, f"{PREFIX}\x7f"))]

    def with_history(self) -> list[tuple[str, str]]:
        """Return all (name, tag) that have a history, also those that were taken away."""
        return [(row[0], row[1]) for row in self._database.rows("SELECT DISTINCT name, tag FROM history")]

    def _shown(self, tag: Tag) -> Tag:
        return tag.replace(name=self._projects.shown(tag.name))

    def _record(self, name: str, tag: str, image: Digest | None, now: float, action: str, detail: str) -> None:
        self._database.write(
            "INSERT INTO history (name, tag, image, moved, reason, detail) VALUES (?, ?, ?, ?, ?, ?)",
            (name, tag, image, now, action, detail),
        )


def _entry(row: Sequence[Any]) -> HistoryEntry:
    shapes = (int, str, str, frozenset((str, None)), float, str, str)
    return HistoryEntry(*typed(row, shapes, "an entry of a tag's history"))


def _tag(row: tuple[Any, ...]) -> Tag:
    name, tag, image, moved, immutable = typed(row, (str, str, str, float, int), "a tag on record")
    return Tag(name, tag, image, moved, bool(immutable))


_SELECT = "SELECT number, name, tag, image, moved, reason, detail FROM history"
