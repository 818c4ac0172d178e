"""What becomes of each path that both sides changed: by a choice, by its driver, by lines, or a conflict."""

from __future__ import annotations

import time

from envbuild.digest import sha256_of
from envbuild.merge.alternative_links import LinkPlan, conflict_of_link, links_after
from envbuild.merge.alternatives import FOLDER, LINKS
from envbuild.merge.attributes import CONTENT as CONTENTS
from envbuild.merge.attributes import TARGET
from envbuild.merge.caches import is_cache
from envbuild.merge.choices import OURS, THEIRS, Choices
from envbuild.merge.compiled import is_compiled
from envbuild.merge.conflict import (
    ADDED,
    ATTRIBUTE,
    BINARY,
    CONTENT,
    DELETED,
    KIND,
    PACKAGE,
    Clash,
    Conflict,
    Sides,
    words_of,
)
from envbuild.merge.draft import Draft
from envbuild.merge.drivers import Driver, driver_of
from envbuild.merge.lines import MAX_TEXT, is_text, merge_texts
from envbuild.merge.marks import MARKS, without_asked
from envbuild.merge.packages import Contested
from envbuild.merge.records import BadDatabase
from envbuild.merge.three_way import Collision
from envbuild.store.objects import Objects
from envbuild.tree.apply import Edit
from envbuild.tree.entry import DIRECTORY, FILE, LINK, Entry

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    Prefer = Callable[[str, str], str]

MAX_CONTENTS = 256 << 20
"""Bytes of all contents that one merge reads."""
MAX_SECONDS = 60.0
"""Seconds after which texts that both changed are conflicts unread."""
MAX_MARKED = 256 << 10
"""Bytes of a conflict's text that is kept."""


class Resolution:
    """The edits of the combined tree that settle its collisions, and the conflicts that are left."""

    def __init__(
        self,
        draft: Draft,
        objects: Objects,
        choices: Choices,
        contested: list[Contested],
        statuses: Callable[[], Iterable[bytes]],
    ) -> None:
        """`statuses` returns dpkg's status in the three trees."""
        self._statuses = statuses
        self._draft = draft
        self._objects = objects
        self._choices = choices
        self._contested = {name: package for package in contested for name in package.names}
        self._resolved = dict(choices.contents)
        self._left = MAX_CONTENTS
        self._deadline = time.monotonic() + MAX_SECONDS
        self.edits: list[Edit] = []
        self.conflicts: list[Conflict] = []
        self.decided: list[str] = []
        self.stale: list[bytes] = []
        self.compiled: list[Collision] = []
        self._links: list[LinkPlan] = []
        self._link_collisions: dict[bytes, Collision] = {}

    def resolve(self, collision: Collision) -> None:
        """Settle a collision, or note a conflict."""
        path, ours, theirs = collision.path, collision.ours, collision.theirs
        if path.startswith(LINKS) and self._is_link(collision):
            self._link_collisions[path] = collision
        elif is_compiled(path) and all(side is None or side.kind == FILE for side in (ours, theirs)):
            self.compiled.append(collision)
        elif path.startswith(FOLDER) and all(side is None or side.kind == FILE for side in (ours, theirs)):
            self._by_driver(collision, driver_of(path))
        elif ours is None or theirs is None or ours.kind != theirs.kind:
            self._whole(collision)
        elif CONTENTS in collision.clashes:
            self._by_driver(collision, driver_of(path))
        else:
            self._attributes(collision, collision.merged)

    def finish(self) -> None:
        """Settle what depends on all collisions: where alternatives lead."""
        for plan in self._links:
            for path, entry in links_after(plan, self._link_collisions):
                if isinstance(entry, Conflict):
                    self._alternative(entry, self._link_collisions[path])
                else:
                    self.edits.append(Edit(path, entry, True))
                self._link_collisions.pop(path, None)
        for collision in self._link_collisions.values():
            # Their records are the same, or there are none.
            if collision.ours is None or collision.theirs is None:
                self._whole(collision)
            else:
                self._alternative(conflict_of_link(collision), collision)

    def _is_link(self, collision: Collision) -> bool:
        return all(side is None or side.kind == LINK for side in collision.sides)

    def _alternative(self, conflict: Conflict, collision: Collision) -> None:
        side = self._side(collision.path)
        if side:
            self.edits.append(Edit(collision.path, collision.ours if side == OURS else collision.theirs, True))
        else:
            self.conflicts.append(conflict)

    def _side(self, path: bytes) -> str:
        """Return the side that was chosen for a path, and note that it was."""
        side = self._choices.side_of_path(path)
        if side:
            self.decided.append(f"/{path.decode('utf-8', 'surrogateescape')}")
        return side

    def _whole(self, collision: Collision) -> None:
        """Settle a path of which a side has nothing, or another kind of thing."""
        path, base, ours, theirs = collision.path, collision.base, collision.ours, collision.theirs
        driver = driver_of(path)
        if is_cache(path) or (driver is not None and driver.name in ("cache", "log")):
            # What is made anew, or only tells of the past, is no reason to stop: gone is gone.
            entry = None if ours is None or theirs is None else ours
            self.edits.append(Edit(path, entry if base is not None else collision.merged, True))
            return
        if self._given(collision):
            return
        side = self._side(path)
        if side:
            self.edits.append(Edit(path, ours if side == OURS else theirs, True))
            return
        kind = KIND if ours is not None and theirs is not None else DELETED if base is not None else ADDED
        self._conflict(kind, collision)

    def _given(self, collision: Collision) -> bool:
        """Take the content that the user gave for a path, if it is one; the attributes are those of a side."""
        content = self._resolved.get(collision.path)
        files = [side for side in (collision.ours, collision.theirs) if side is not None and side.kind == FILE]
        if content is None or not files:
            return False
        self.decided.append(f"/{collision.path.decode('utf-8', 'surrogateescape')}")
        entry = files[0]._replace(mtime=max(side.mtime for side in files))
        self.edits.append(Edit(collision.path, self._draft.put(entry, content), True))
        return True

    def _conflict(self, kind: str, collision: Collision, marked: bytes = b"") -> None:
        sides = collision.sides
        words = Sides(*map(words_of, sides))
        self.conflicts.append(Conflict(kind, collision.path, "", words, entries=sides, marked=marked[:MAX_MARKED]))

    def _attributes(self, collision: Collision, entry: Entry | None) -> None:
        """Settle attributes that both changed, of a file whose content is settled: `entry` is the file so far."""
        assert entry is not None
        assert collision.theirs is not None
        apart = [name for name in collision.clashes if name != CONTENTS]
        if apart:
            side = self._side(collision.path)
            if not side:
                kind = BINARY if apart == [TARGET] else ATTRIBUTE
                self._conflict(CONTENT if TARGET in apart else kind, collision)
            elif side == THEIRS:
                chosen = collision.theirs
                entry = entry._replace(
                    mode=chosen.mode, uid=chosen.uid, gid=chosen.gid, xattrs=chosen.xattrs, target=chosen.target
                )
        if entry.kind == DIRECTORY:
            if entry != collision.merged:
                self.edits.append(Edit(collision.path, entry._replace(digest="")))
        else:
            self._put(collision, entry)

    def _put(self, collision: Collision, entry: Entry) -> None:
        """Have the tree hold a file or a link, which is one of a side's with other attributes, or new."""
        for side in (collision.ours, collision.theirs):
            if side is not None and entry.kind == FILE == side.kind and entry.digest == side.digest:
                entry = self._draft.alter(side, entry)
                break
        self.edits.append(Edit(collision.path, entry, True))

    def _by_driver(self, collision: Collision, driver: Driver | None) -> None:
        path = collision.path
        if is_cache(path):
            self._cache(collision)
            return
        contents = self._contents(collision, MAX_TEXT if driver is None else driver.most)
        if contents is None:
            self._as_whole(collision, BINARY)
            return
        base, ours, theirs = contents
        if driver is None and not all(map(is_text, contents)):
            self._as_whole(collision, BINARY)
            return
        if driver is not None:
            try:
                outcome = driver.merge(base, ours, theirs, self._preference(path))
            except BadDatabase:
                self._text(collision, contents)
                return
            self.decided += outcome.settled
            self._records(path, outcome.clashes)
            if outcome.settled and self._choices.side_of_path(path):
                self._side(path)
            if path.startswith(FOLDER):
                self._links.append(LinkPlan(path, base, ours, theirs, outcome.content))
            content = outcome.content
            if path == MARKS:
                before, our, their = self._statuses()
                content = without_asked(content, before, ((ours, our), (theirs, their)))
            self._content(collision, content)
            return
        self._text(collision, contents)

    def _cache(self, collision: Collision) -> None:
        """Take either of two caches until its program makes it anew: the larger, so that it is the same one whoever
        merges."""
        self.stale.append(collision.path)
        ours, theirs, entry = collision.ours, collision.theirs, collision.merged
        assert ours is not None
        assert theirs is not None
        assert entry is not None
        larger = max(ours, theirs, key=lambda side: (side.size, side.digest))
        entry = entry._replace(digest=larger.digest, size=larger.size, mtime=larger.mtime)
        self._attributes(collision, entry)

    def _text(self, collision: Collision, contents: tuple[bytes, bytes, bytes]) -> None:
        base, ours, theirs = contents
        if not all(map(is_text, contents)) or time.monotonic() > self._deadline:
            self._as_whole(collision, BINARY)
            return
        if collision.base is None:
            self._as_whole(collision, ADDED, merge_texts(b"", ours, theirs).content)
            return
        merged = merge_texts(base, ours, theirs)
        if merged.conflicts:
            self._as_whole(collision, CONTENT, merged.content)
        else:
            self._content(collision, merged.content)

    def _content(self, collision: Collision, content: bytes) -> None:
        """Have the file hold a merged content."""
        entry, ours, theirs = collision.merged, collision.ours, collision.theirs
        assert entry is not None
        if not content and collision.path.startswith(FOLDER):
            self.edits.append(Edit(collision.path, None, True))
            return
        if ours is not None and theirs is not None:
            digest = sha256_of(content)
            for side in (ours, theirs):
                if side.digest == digest:
                    self._attributes(collision, entry._replace(digest=digest, size=side.size, mtime=side.mtime))
                    return
            entry = entry._replace(mtime=max(ours.mtime, theirs.mtime))
        entry = self._draft.put(entry, content)
        if ours is not None and theirs is not None:
            self._attributes(collision, entry)
        else:
            self.edits.append(Edit(collision.path, entry, True))

    def _as_whole(self, collision: Collision, kind: str, marked: bytes = b"") -> None:
        """Settle a file whose contents can't be merged, by a choice."""
        if self._given(collision):
            return
        side = self._side(collision.path)
        if not side:
            self._conflict(kind, collision, marked)
            return
        chosen = collision.ours if side == OURS else collision.theirs
        self.edits.append(Edit(collision.path, chosen, True))

    def _contents(self, collision: Collision, most: int) -> tuple[bytes, bytes, bytes] | None:
        """Return the contents of the three sides, None if they are too large to be merged."""
        sides = [side if side is not None and side.kind == FILE else None for side in collision.sides]
        size = sum(side.size for side in sides if side is not None)
        if size > self._left or any(side is not None and side.size > most for side in sides):
            return None
        self._left -= size
        base, ours, theirs = (b"" if side is None else self._read(side) for side in sides)
        return base, ours, theirs

    def _read(self, entry: Entry) -> bytes:
        made = self._draft.content(entry)
        return self._objects.read(entry) if made is None else made

    def _preference(self, path: bytes) -> Prefer:
        def prefer(subject: str, package: str) -> str:
            contested = self._contested.get(package) if package else None
            if contested is not None and (contested.side or not subject):
                return contested.side or OURS
            if not subject:
                return ""
            side = self._choices.side_of_path(path)
            if side:
                return side
            return self._choices.side_of(package) if package else self._choices.side_of(subject)

        return prefer

    def _records(self, path: bytes, clashes: tuple[Clash, ...]) -> None:
        for clash in clashes:
            if clash.kind == PACKAGE and clash.package in self._contested:
                continue  # the package's own conflict says it
            self.conflicts.append(Conflict(clash.kind, path, clash.subject, clash.sides, package=clash.package))
