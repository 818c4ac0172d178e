"""What of a step's reads is not the same on another tree: found along what differs between the two trees."""

from __future__ import annotations

from bisect import bisect_right

from envbuild.record import Record
from envbuild.trace.reads import ABSENT, ATTRIBUTES, CONTENT, LISTING, RIGHTS
from envbuild.tree.diff import Change, aspects
from envbuild.tree.entry import DIRECTORY, KIND_WORDS, LINK, ROOT_NAME, Entry

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable

    from envbuild.trace.reads import Access, Reads


class ChangedRead(Record):
    """A path that a step reads and that is not as it was; `text` says so in words."""

    path: bytes
    text: str


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
                return ChangedRead(path, _missed(path, access, before, after))
            folder, _, name = path.rpartition(b"/")
            if path and paths.get(folder, 0) & LISTING:
                return ChangedRead(
                    folder, f"it lists {_shown(folder)}, in which '{_text(name)}' {_is_now(before, after)}"
                )
            below = _first_below(ordered, path)
            if below is not None:
                verb = "looks for" if paths[below] & ABSENT else "reads"
                return ChangedRead(below, f"it {verb} {_shown(below)}, and {_shown(path)} {_is_now(before, after)}")
        elif access and _differs(access, before, after):
            return ChangedRead(path, f"it reads {_shown(path)}, whose {' and '.join(aspects(change))} changed")
        elif before.kind == DIRECTORY and not _same_rights(before, after):
            below = _first_below(ordered, path)  # the directory is searched on the way to all that is in it
            if below is not None:
                return ChangedRead(
                    path, f"it reads {_shown(below)}, and what {_shown(path)} may be searched by changed"
                )
    return None


def _missed(path: bytes, access: Access, before: Entry | None, after: Entry | None) -> str:
    if access & ABSENT:
        return f"it looks for {_shown(path)}, which is there now"
    return f"it reads {_shown(path)}, which {_is_now(before, after)}"


def _is_now(before: Entry | None, after: Entry | None) -> str:
    if after is None:
        return "is gone"
    return "is new" if before is None else f"is a {KIND_WORDS[after.kind]} now"


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


def _text(path: bytes) -> str:
    return path.decode(errors="backslashreplace")


def _shown(path: bytes) -> str:
    return "/" + _text(path)
