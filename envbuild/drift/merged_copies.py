"""Copies into many folders made one: a package that no mirror has would take a line for each of its folders else."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from envbuild.record import Record
from envbuild.tree.entry import DIRECTORY, Entry

FEWEST = 4
"""Lines that a merged one takes the place of at least: fewer are decisions that a reader should see one by one."""


class Way(Record):
    """How a file is copied: the options `owner` and `mode`, "" and None where they need not be said."""

    owner: str
    mode: int | None

    @property
    def folder_mode(self) -> int:
        """What a folder gets that is copied so (build/keep.py)."""
        return 0o755 if self.mode is None else self.mode | (self.mode & 0o444) >> 2


def merge(
    copies: Iterable[tuple[bytes, Way]], folder: Callable[[bytes], Entry | None], owner: Callable[[Entry], str]
) -> dict[bytes, Way]:
    """The folders whose whole contents one line may copy, each with its way.

    `copies` are the folders of the tree that something is copied into; `folder` gives what the tree is to have at a
    path, and `owner` whom that belongs to, as an option says it. A copy of a folder gives its own attributes to all
    folders inside, so these have to be what they are to be.
    """
    pairs = set(copies)
    found: dict[bytes, Way] = {}
    for path in sorted({above for one, _ in pairs for above in _ancestors(one)}):
        if any(path.startswith(one + b"/") for one in found):
            continue
        inside = [(one, way) for one, way in pairs if one == path or one.startswith(path + b"/")]
        ways = {way for _, way in inside}
        if len(inside) < FEWEST or len(ways) > 1:
            continue
        (way,) = ways
        between = {above for one, _ in inside for above in (one, *_ancestors(one)) if above.startswith(path + b"/")}
        if all(_fits(folder(one), way, owner) for one in between):
            found[path] = way
    return found


def _fits(entry: Entry | None, way: Way, owner: Callable[[Entry], str]) -> bool:
    return (
        entry is not None
        and entry.kind == DIRECTORY
        and entry.mode == way.folder_mode
        and owner(entry) == way.owner
        and not entry.xattrs
    )


def _ancestors(path: bytes) -> list[bytes]:
    """The folders that a path lies in and itself, but for those right below the root: these are too much for a line."""
    parts = path.split(b"/")
    return [b"/".join(parts[:count]) for count in range(2, len(parts) + 1)]
