"""How two files of two trees differ, in lines for a user: attributes by name, text by line, other content by byte."""

from __future__ import annotations

import os
from collections.abc import Iterator
from datetime import UTC

from envbuild.store.store import Store
from envbuild.tree.diff import Change, diff
from envbuild.tree.entry import FILE, Digest, Entry

MAX_PATHS = 20
MAX_LINES = 3
_CHUNK = 1 << 20
_WIDTH = 100


def differences(store: Store, first: Digest, second: Digest, names: tuple[str, str]) -> list[str]:
    """Return what differs between two trees: a line for each path, and indented lines that say how.

    `names` are what the two trees are called, for paths that only one of them has.
    """
    changes = list(diff(store.trees, first, second))
    lines: list[str] = []
    for change in changes[:MAX_PATHS]:
        lines += _change(store, change, names)
    if len(changes) > MAX_PATHS:
        lines.append(f"and {len(changes) - MAX_PATHS} more")
    return lines


def _change(store: Store, change: Change, names: tuple[str, str]) -> Iterator[str]:
    path = "/" + os.fsdecode(change.path).encode(errors="backslashreplace").decode()
    before, after = change.before, change.after
    if before is None or after is None:
        yield f"{path}: only in {names[0] if after is None else names[1]}"
        return
    what = list(_attributes(before, after))
    how: list[str] = []
    if before.kind == after.kind == FILE and before.digest != after.digest:
        what.insert(0, "content")
        how = _content(store, before, after)
    yield f"{path}: {', '.join(what)}"
    yield from (f"  {line}" for line in how)


def _attributes(before: Entry, after: Entry) -> Iterator[str]:
    if before.kind != after.kind:
        yield f"kind {before.kind} -> {after.kind}"
        return
    if before.mode != after.mode:
        yield f"mode {before.mode:04o} -> {after.mode:04o}"
    if (before.uid, before.gid) != (after.uid, after.gid):
        yield f"owner {before.uid}:{before.gid} -> {after.uid}:{after.gid}"
    if before.mtime != after.mtime:
        yield f"time {_time(before.mtime)} -> {_time(after.mtime)}"
    if before.target != after.target:
        yield f"target {os.fsdecode(before.target)!r} -> {os.fsdecode(after.target)!r}"
    if before.xattrs != after.xattrs:
        names = {os.fsdecode(name) for name, _ in set(before.xattrs) ^ set(after.xattrs)}
        yield f"extended attributes {', '.join(sorted(names))}"


def _time(nanoseconds: int) -> str:
    from datetime import datetime  # only where times differ

    seconds, rest = divmod(nanoseconds, 1_000_000_000)
    return f"{datetime.fromtimestamp(seconds, UTC):%Y-%m-%dT%H:%M:%S}.{rest:09d}"


def _content(store: Store, before: Entry, after: Entry) -> list[str]:
    """Return the first lines that differ of two texts, or the first byte of other files."""
    old, new = store.objects.open(before), store.objects.open(after)
    try:
        offset = 0
        line = 1
        while True:
            left, right = os.read(old, _CHUNK), os.read(new, _CHUNK)
            if left != right or not left:
                break
            offset += len(left)
            line += left.count(b"\n")
    finally:
        os.close(old)
        os.close(new)
    shorter = min(len(left), len(right))
    same = next((at for at in range(shorter) if left[at] != right[at]), shorter)
    sizes = f", size {before.size} -> {after.size}" if before.size != after.size else ""
    if b"\0" in left or b"\0" in right:
        return [f"from byte {offset + same} on{sizes}"]
    begin = left.rfind(b"\n", 0, same) + 1
    line += left.count(b"\n", 0, begin)
    removed, added = left[begin:].split(b"\n"), right[begin:].split(b"\n")
    shown = [f"line {line}{sizes}"]
    for old_line, new_line in list(zip(removed, added, strict=False))[:MAX_LINES]:
        if old_line != new_line:
            shown += [f"- {_short(old_line)}", f"+ {_short(new_line)}"]
    return shown


def _short(line: bytes) -> str:
    text = line.decode(errors="backslashreplace")
    return text if len(text) <= _WIDTH else text[: _WIDTH - 3] + "..."
