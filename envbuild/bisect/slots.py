"""Names in directories of candidates whose entries depend on what is selected."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Protocol

from envbuild.bisect.differences import PiecePart
from envbuild.bisect.pieces import FilePieces
from envbuild.bisect.status_stanzas import StatusChanges
from envbuild.tree.entry import Entry


class Contents(Protocol):
    """The contents of files, as the store has them."""

    def add(self, entry: Entry, source: bytes) -> Entry:
        """Keep a file and return its entry with digest and size filled in."""

    def alter(self, old: Entry, new: Entry) -> Entry:
        """Keep the content of `old` with the attributes of `new`, and return that entry."""


class Selected:
    """The parts of a candidate, to be asked for one by one: taking a bit out of a long integer copies all of it."""

    def __init__(self, selection: int) -> None:
        self._flags = selection.to_bytes((selection.bit_length() + 7) // 8, "little")

    def has(self, number: int) -> bool:
        """Return whether a part is among them."""
        byte = number >> 3
        return byte < len(self._flags) and bool(self._flags[byte] >> (number & 7) & 1)

    def of(self, numbers: Iterable[int]) -> frozenset[int]:
        """Return those of some parts that are among them."""
        return frozenset(filter(self.has, numbers))


class PathSlot:
    """A path that is the bad tree's if its part is selected."""

    def __init__(self, number: int, before: Entry | None, after: Entry | None) -> None:
        self.numbers = (number,)
        self._before = before
        self._after = after

    def entry(self, selected: Selected) -> Entry | None:
        """Return what lies there in a candidate."""
        return self._after if selected.has(self.numbers[0]) else self._before


class StatusSlot:
    """dpkg's status, of stanzas that are selected each for itself."""

    def __init__(
        self, packages: Mapping[int, str], status: StatusChanges, before: Entry, after: Entry, contents: Contents
    ) -> None:
        self.numbers = tuple(packages)
        self._packages = packages
        self._status = status
        self._after = after
        self._contents = contents
        self._known: dict[frozenset[int], Entry] = {frozenset(): before, frozenset(packages): after}

    def entry(self, selected: Selected) -> Entry:
        """Return the file in a candidate."""
        chosen = selected.of(self.numbers)
        if chosen not in self._known:
            text = self._status.text({self._packages[number] for number in chosen})
            content = text.encode("utf-8", "surrogateescape")
            self._known[chosen] = self._contents.add(self._after._replace(digest="", size=0), content)
        return self._known[chosen]


class PieceSlot:
    """A file whose pieces are selected each for itself."""

    def __init__(self, parts: Mapping[int, PiecePart], pieces: FilePieces, contents: Contents) -> None:
        self.numbers = tuple(parts)
        self._parts = parts
        self._pieces = pieces
        self._contents = contents
        self._known: dict[frozenset[int], Entry] = {frozenset(): pieces.before, frozenset(parts): pieces.after}

    def entry(self, selected: Selected) -> Entry:
        """Return the file in a candidate."""
        chosen = selected.of(self.numbers)
        if chosen not in self._known:
            entry, content = self._pieces.entry(frozenset(self._parts[number] for number in chosen))
            if isinstance(content, bytes):
                self._known[chosen] = self._contents.add(entry, content)
            else:
                self._known[chosen] = self._contents.alter(content, entry)
        return self._known[chosen]


Slot = PathSlot | StatusSlot | PieceSlot
