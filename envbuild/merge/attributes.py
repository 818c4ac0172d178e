"""The merge of one entry's attributes, each by itself."""

from __future__ import annotations

from envbuild.tree.entry import FILE, Entry, Xattrs

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import TypeVar

    Value = TypeVar("Value")

MODE, OWNER, XATTRS, CONTENT, TARGET = "mode", "owner", "xattrs", "content", "target"


def merge_entries(base: Entry | None, ours: Entry, theirs: Entry) -> tuple[Entry, tuple[str, ...]]:
    """Return the entry that has what either side changed, and in what they can't go together: there it is ours.

    All are of one kind. Times never conflict: that of the side whose content is taken holds, else the newer.
    """
    clashes: list[str] = []

    def choose(what: str, was: Value | None, our: Value, their: Value) -> Value:
        if our == their or (base is not None and their == was):
            return our
        if base is not None and our == was:
            return their
        clashes.append(what)
        return our

    before = base or ours
    mode = choose(MODE, before.mode, ours.mode, theirs.mode)
    uid, gid = choose(OWNER, (before.uid, before.gid), (ours.uid, ours.gid), (theirs.uid, theirs.gid))
    content = choose(
        CONTENT if ours.kind == FILE else TARGET,
        (before.digest, before.size, before.target),
        (ours.digest, ours.size, ours.target),
        (theirs.digest, theirs.size, theirs.target),
    )
    xattrs = _xattrs(() if base is None else base.xattrs, ours.xattrs, theirs.xattrs, clashes)
    mtime = _time(base, ours, theirs)
    merged = Entry(ours.name, ours.kind, mode, uid, gid, mtime, content[1], content[0], content[2], xattrs)
    return merged, tuple(clashes)


def _time(base: Entry | None, ours: Entry, theirs: Entry) -> int:
    if base is not None:
        # Compiled Python knows the time of its source: a content has its own.
        own = (base.digest, base.target)
        our_content, their_content = (ours.digest, ours.target) != own, (theirs.digest, theirs.target) != own
        if our_content != their_content:
            return ours.mtime if our_content else theirs.mtime
        if ours.mtime == base.mtime:
            return theirs.mtime
        if theirs.mtime == base.mtime:
            return ours.mtime
    return max(ours.mtime, theirs.mtime)


def _xattrs(base: Xattrs, ours: Xattrs, theirs: Xattrs, clashes: list[str]) -> Xattrs:
    if ours == theirs or theirs == base:
        return ours
    if ours == base:
        return theirs
    was, our, their = dict(base), dict(ours), dict(theirs)
    merged: dict[bytes, bytes] = {}
    for name in was.keys() | our.keys() | their.keys():
        before, left, right = was.get(name), our.get(name), their.get(name)
        if left != right and right != before and left != before:
            clashes.append(XATTRS)
        kept = right if left == before else left
        if kept is not None:
            merged[name] = kept
    return tuple(sorted(merged.items()))
