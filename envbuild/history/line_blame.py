"""The entry of a name's history that each line of a file came with."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from envbuild.errors import UsageError, fields
from envbuild.history.line_diff import opcodes
from envbuild.record import Record
from envbuild.store.database import StoreDamaged
from envbuild.store.images import Image
from envbuild.store.store import Store
from envbuild.store.tags import HistoryEntry
from envbuild.tree.entry import FILE, Entry
from envbuild.tree.lookup import lookup

MAX_TEXT = 4_000_000
"""Bytes of a file whose lines are looked at."""
MAX_VERSIONS = 1000
"""Versions of a file that are compared, the newest first."""


@fields
class NotOfLines(UsageError):
    """A path without lines."""

    path: str
    reason: str

    def text(self) -> tuple[str, str]:
        return f"{self.path} has no lines: {self.reason}", "ask about the path as a whole, without --lines"


class Line(Record):
    """A line, and the oldest entry since which it is there, which is `back` moves back; None if no history is known, or
    it reaches further back than is looked at."""

    text: str
    entry: HistoryEntry | None
    back: int


def blame_lines(store: Store, path: bytes, entry: Entry, moves: Iterable[tuple[int, HistoryEntry]]) -> tuple[Line, ...]:
    """Return the lines of the file `entry` at `path`, each with what it came with. `moves` are those of the name, from
    the image of `entry` back, each with its number. Raises NotOfLines."""
    current = _lines(store, path, entry)
    if current is None:
        shown = "/" + path.decode("utf-8", "backslashreplace")
        reason = "it is not a plain file" if entry.kind != FILE else "it is not text, or has too many bytes"
        raise NotOfLines(shown, reason)
    came: list[tuple[HistoryEntry | None, int]] = [(None, 0)] * len(current)
    # The line of the version that is looked at, and its number in the newest.
    waiting = {number: number for number in range(len(current))}
    lines = current
    first: tuple[HistoryEntry | None, int] = (None, 0)
    versions = 0
    for back, move, earlier in _versions(store, path, moves):
        if earlier is not None and earlier.kind == FILE and earlier.digest == entry.digest:
            first = move, back
            continue
        older = _lines(store, path, earlier) if earlier is not None else None
        kept = dict(_kept(older or [], lines))
        for number in [number for number in waiting if number not in kept]:
            came[waiting.pop(number)] = first
        waiting = {kept[number]: original for number, original in waiting.items()}
        versions += 1
        if not waiting or older is None or earlier is None or versions == MAX_VERSIONS:
            break
        lines, entry, first = older, earlier, (move, back)
    else:
        for original in waiting.values():
            came[original] = first
    return tuple(Line(text, *origin) for text, origin in zip(current, came, strict=True))


def _versions(
    store: Store, path: bytes, moves: Iterable[tuple[int, HistoryEntry]]
) -> Iterator[tuple[int, HistoryEntry, Entry | None]]:
    """Yield the moves whose image is there, with the path's entry; None where it has none."""
    for back, move in moves:
        image: Image | None = store.images.get(move.image) if move.image is not None else None
        if image is None:
            continue
        try:
            yield back, move, lookup(store.trees, image.tree, path, follow=False)
        except StoreDamaged:
            continue


def _kept(old: list[str], new: list[str]) -> Iterator[tuple[int, int]]:
    """Yield the number in `new`, and that in `old`, of each line that both have."""
    for kind, a, b, c, _ in opcodes(old, new):
        if kind == "equal":
            yield from ((c + n, a + n) for n in range(b - a))


def _lines(store: Store, path: bytes, entry: Entry | None) -> list[str] | None:
    if entry is None or entry.kind != FILE or entry.size > MAX_TEXT:
        return None
    try:
        content = store.objects.read(entry, MAX_TEXT)
    except StoreDamaged:
        return None
    if b"\0" in content:
        return None
    lines = content.decode("utf-8", "surrogateescape").split("\n")
    return lines if lines.pop() == "" else content.decode("utf-8", "surrogateescape").split("\n")
