"""What of a step's reads is not the same on another tree: found along what differs between the two trees."""

from __future__ import annotations

from bisect import bisect_right

from envbuild.record import Record
from envbuild.trace.reads import ATTRIBUTES, CONTENT, LISTING, RIGHTS
from envbuild.tree.diff import Change
from envbuild.tree.entry import DIRECTORY, LINK, ROOT_NAME, Entry

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable

    from envbuild.trace.reads import Access, Reads


class ChangedRead(Record):
    """A path that a step reads and that is another one now. With a `name`, it is a directory that the step lists and
    the name in it that came or went."""

    path: bytes
    name: bytes = b""

    @property
    def text(self) -> str:
        """What differs, in words."""
        if self.name:
            name = self.name.decode(errors="backslashreplace")
            return f"it lists {_shown(self.path)}, in which '{name}' came or went"
        return f"it reads {_shown(self.path)}, which is not as it was"


def first_changed(reads: Reads, moved: Iterable[Change]) -> ChangedRead | None:
    """Return the first of a step's reads that `moved`, what differs between two trees, changes; None if none does.

    The cost is that of what differs: a change of something that nobody asked for is one look-up.
    """
    paths = reads.paths
    ordered = list(paths)
    for change in moved:
        path = b"" if change.path == ROOT_NAME else change.path
        before, after = change.before, change.after
        access = paths.get(path, 0)
        if before is None or after is None or before.kind != after.kind:
            if access:
                return ChangedRead(path)
            folder, _, name = path.rpartition(b"/")
            if paths.get(folder, 0) & LISTING:
                return ChangedRead(folder, name)
            below = _first_below(ordered, path)
            if below is not None:
                return ChangedRead(below)
        elif access and _differs(access, before, after):
            return ChangedRead(path)
        elif before.kind == DIRECTORY and not _same_rights(before, after):
            below = _first_below(ordered, path)  # it is searched on the way to all that is in it
            if below is not None:
                return ChangedRead(path)
    return None


def _differs(access: Access, before: Entry, after: Entry) -> bool:
    """Tell whether two entries of one kind differ in what was asked."""
    if access & CONTENT and before.kind != DIRECTORY:
        return True
    if access & (ATTRIBUTES | CONTENT) and _asked(before) != _asked(after):
        return True
    return not _same_rights(before, after) and bool(access & (RIGHTS | LISTING))


def _asked(entry: Entry) -> tuple[object, ...]:
    """Return what stat(2) tells of an entry."""
    size = len(entry.target) if entry.kind == LINK else entry.size
    target = b"" if entry.kind == LINK else entry.target
    return entry.mode, entry.uid, entry.gid, entry.xattrs, entry.mtime, size, target


def _same_rights(before: Entry, after: Entry) -> bool:
    return (before.mode, before.uid, before.gid, before.xattrs) == (after.mode, after.uid, after.gid, after.xattrs)


def _first_below(ordered: list[bytes], path: bytes) -> bytes | None:
    """Return the first of the paths that lies in a directory."""
    if not path:
        return ordered[0] if ordered else None
    at = bisect_right(ordered, path + b"/")
    return ordered[at] if at < len(ordered) and ordered[at].startswith(path + b"/") else None


def _shown(path: bytes) -> str:
    return "/" + path.decode(errors="backslashreplace")
