"""Changes counted by top folder, for what is too many to list."""

from __future__ import annotations

from collections.abc import Iterable

from envbuild.record import Record
from envbuild.tree.diff import Change


class FolderCount(Record):
    """How many paths of one top folder differ; bytes of files before and after."""

    folder: str
    added: int
    removed: int
    changed: int
    old_size: int
    new_size: int


def by_folder(changes: Iterable[Change]) -> list[FolderCount]:
    """One count for each folder at the root that has changes, sorted; files at the root itself count as `/`."""
    counts: dict[str, list[int]] = {}
    for change in changes:
        head, slash, _ = change.path.partition(b"/")
        folder = "/" + head.decode("utf-8", "backslashreplace") if slash else "/"
        count = counts.setdefault(folder, [0, 0, 0, 0, 0])
        before, after = change.before, change.after
        count[0 if before is None else 1 if after is None else 2] += 1
        count[3] += before.size if before is not None else 0
        count[4] += after.size if after is not None else 0
    return [FolderCount(folder, *count) for folder, count in sorted(counts.items())]
