"""What a base is while it is being made, and where it writes its tree."""

from __future__ import annotations

from typing import Protocol

from envbuild.tree.entry import Entry


class TreeTarget(Protocol):
    """Takes the entries of a tree in any order."""

    def add(self, path: bytes, entry: Entry, source: bytes | int | None = None) -> None:
        """Put `entry` at `path`, relative to the root (b"" for the root's own attributes).

        `source` is a file's bytes, or a descriptor that stands at its content. What was at the path is replaced.
        """
        ...

    def get(self, path: bytes) -> Entry | None:
        """Return what was added at this path last, with digest and size filled in."""
        ...

    def link(self, path: bytes, other: bytes) -> None:
        """Put at `path` what was added at `other`: another name of the same file."""
        ...


class PreparedBase(Protocol):
    """A base that is ready to be written.

    `identity` says in one line what it was made from, `epoch` is the date that it gives (seconds since 1970),
    `notes` are for the user.
    """

    @property
    def identity(self) -> str: ...

    @property
    def epoch(self) -> int: ...

    @property
    def notes(self) -> tuple[str, ...]: ...

    def write(self, target: TreeTarget) -> None:
        """Write the whole tree."""
        ...

    def close(self) -> None:
        """End what was started for it, and give up what it holds."""
        ...
