"""A changed file in pieces: runs of lines of a text, and its attributes."""

from __future__ import annotations

from envbuild.bisect.differences import PiecePart
from envbuild.history.line_diff import opcodes
from envbuild.record import Record
from envbuild.store.objects import Objects
from envbuild.tree.diff import Change, aspects
from envbuild.tree.entry import Entry

MAX_TEXT = 4 << 20
"""Bytes of a text that is taken apart into lines; larger ones, and what is no text, are one piece."""
MAX_HUNKS = 10_000
CONTENT = "content"
_FIELDS = {"mode": ("mode",), "owner": ("uid", "gid"), "time": ("mtime",), "xattrs": ("xattrs",)}

Hunk = tuple[int, int, int, int]
"""The first and last line in the old text, and in the new (as in slices)."""


class FilePieces(Record):
    """A file in both trees. `hunks` are the runs of lines that differ, () where its content is one piece."""

    before: Entry
    after: Entry
    old: tuple[bytes, ...] = ()
    new: tuple[bytes, ...] = ()
    hunks: tuple[Hunk, ...] = ()

    def parts(self, path: bytes) -> list[PiecePart]:
        """Return the pieces, as parts of candidates."""
        parts = []
        for aspect in aspects(Change(path, self.before, self.after)):
            if aspect == CONTENT and self.hunks:
                parts += [PiecePart(path, CONTENT, number) for number in range(len(self.hunks))]
            else:
                parts.append(PiecePart(path, aspect))
        return parts

    def entry(self, chosen: frozenset[PiecePart]) -> tuple[Entry, bytes | Entry]:
        """Return the file with the pieces that are `chosen`: its entry, and its content, or the side that has it."""
        taken = {part.aspect for part in chosen}
        fields = {name for aspect in taken & _FIELDS.keys() for name in _FIELDS[aspect]}
        entry = self.before._replace(**{name: getattr(self.after, name) for name in fields})
        hunks = {part.hunk for part in chosen if part.aspect == CONTENT}
        if not hunks:
            return entry, self.before
        if -1 in hunks or len(hunks) == len(self.hunks):
            return entry._replace(digest=self.after.digest, size=self.after.size), self.after
        lines: list[bytes] = []
        at = 0
        for number, (a, b, c, d) in enumerate(self.hunks):
            lines += self.old[at:a]
            lines += self.new[c:d] if number in hunks else self.old[a:b]
            at = b
        lines += self.old[at:]
        return entry._replace(digest="", size=0), b"".join(lines)

    def lines(self, hunk: int) -> tuple[int, list[str], list[str]]:
        """Return where a hunk begins in the new text (from 1), and its lines before and after."""
        a, b, c, d = self.hunks[hunk]
        old, new = ([line.decode("utf-8", "replace") for line in part] for part in (self.old[a:b], self.new[c:d]))
        return c + 1, old, new


def pieces_of(objects: Objects, before: Entry, after: Entry) -> FilePieces:
    """Return a file that differs in pieces. Raises StoreDamaged."""
    if before.digest == after.digest or max(before.size, after.size) > MAX_TEXT:
        return FilePieces(before, after)
    old, new = (objects.read(entry).splitlines(keepends=True) for entry in (before, after))
    if any(b"\0" in line for line in (*old, *new)):
        return FilePieces(before, after)
    # Lines of any bytes, for a comparison that knows text.
    codes = opcodes(*([line.decode("utf-8", "surrogateescape") for line in lines] for lines in (old, new)))
    hunks = tuple((a, b, c, d) for kind, a, b, c, d in codes if kind != "equal")
    return FilePieces(before, after, tuple(old), tuple(new), hunks if 1 < len(hunks) <= MAX_HUNKS else ())
