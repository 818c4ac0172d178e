"""Names in directories of candidates whose entries depend on what is selected."""

from __future__ import annotations

from collections.abc import Mapping
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


class PathSlot:
    """A path that is the bad tree's if its part is selected."""

    def __init__(self, mask: int, before: Entry | None, after: Entry | None) -> None:
        self.mask = mask
        self._before = before
        self._after = after

    def entry(self, selection: int) -> Entry | None:
        return self._after if selection & self.mask else self._before


class StatusSlot:
    """dpkg's status, of stanzas that are selected each for itself."""

    def __init__(
        self, bits: Mapping[str, int], status: StatusChanges, before: Entry, after: Entry, contents: Contents
    ) -> None:
        self.mask = sum(bits.values())
        self._bits = bits
        self._status = status
        self._before = before
        self._after = after
        self._contents = contents
        self._known: dict[int, Entry] = {0: before, self.mask: after}

    def entry(self, selection: int) -> Entry:
        chosen = selection & self.mask
        if chosen not in self._known:
            text = self._status.text({name for name, bit in self._bits.items() if bit & chosen})
            content = text.encode("utf-8", "surrogateescape")
            self._known[chosen] = self._contents.add(self._after._replace(digest="", size=0), content)
        return self._known[chosen]


class PieceSlot:
    """A file whose pieces are selected each for itself."""

    def __init__(self, bits: Mapping[PiecePart, int], pieces: FilePieces, contents: Contents) -> None:
        self.mask = sum(bits.values())
        self._bits = bits
        self._pieces = pieces
        self._contents = contents
        self._known: dict[int, Entry] = {0: pieces.before, self.mask: pieces.after}

    def entry(self, selection: int) -> Entry:
        chosen = selection & self.mask
        if chosen not in self._known:
            entry, content = self._pieces.entry(frozenset(part for part, bit in self._bits.items() if bit & chosen))
            if isinstance(content, bytes):
                self._known[chosen] = self._contents.add(entry, content)
            else:
                self._known[chosen] = self._contents.alter(content, entry)
        return self._known[chosen]


Slot = PathSlot | StatusSlot | PieceSlot
