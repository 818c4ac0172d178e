"""The difference at one path as a patch that patch(1) and `git apply` take, in git's form (git-diff(1), "Generating
patch text with -p"): with modes, files that come and go, links, and names of any bytes.

Lines are text in which bytes that are not UTF-8 are surrogates, so that they are written as they were.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from hashlib import sha1

from envbuild.history.line_diff import unified
from envbuild.record import Record
from envbuild.tree.entry import LINK, Entry

_PLAIN = re.compile(rb"[A-Za-z0-9_./+@%,:=~-]+")
_ESCAPES = {ord("\n"): "\\n", ord("\t"): "\\t", ord('"'): '\\"', ord("\\"): "\\\\"}
_NOTHING = "0" * 40
_NO_NEWLINE = "\n\\ No newline at end of file"


class Text(Record):
    """A file or link whose content is text; `content` is that of the file, or the target of the link."""

    entry: Entry
    content: bytes

    @property
    def mode(self) -> str:
        """The type and mode, as git has them."""
        return "120000" if self.entry.kind == LINK else f"10{self.entry.mode:04o}"

    @property
    def blob(self) -> str:
        """The name that git gives the content."""
        return sha1(b"blob %d\0%s" % (len(self.content), self.content), usedforsecurity=False).hexdigest()

    @property
    def lines(self) -> list[str]:
        """The lines; the last one says if it does not end."""
        lines = self.content.decode("utf-8", "surrogateescape").split("\n")
        last = lines.pop()
        return [*lines, last + _NO_NEWLINE] if last else lines


def patch_lines(path: bytes, before: Text | None, after: Text | None) -> Iterator[str]:
    """Yield the lines of a patch that turns `before` into `after`; None is no file."""
    if before is not None and after is not None and before.entry.kind != after.entry.kind:
        yield from patch_lines(path, before, None)
        yield from patch_lines(path, None, after)
        return
    yield from mode_lines(path, before, after)
    old, new = (_NOTHING if side is None else side.blob for side in (before, after))
    if old == new:
        return
    kept = f" {after.mode}" if before is not None and after is not None and before.mode == after.mode else ""
    yield f"index {old}..{new}{kept}"
    hunks = list(unified(before.lines if before is not None else [], after.lines if after is not None else []))
    if hunks:
        yield f"--- {quoted(b'a/' + path) if before is not None else '/dev/null'}"
        yield f"+++ {quoted(b'b/' + path) if after is not None else '/dev/null'}"
        yield from hunks


def mode_lines(path: bytes, before: Text | None, after: Text | None) -> Iterator[str]:
    """Yield the head of a patch, with the modes where they differ."""
    yield f"diff --git {quoted(b'a/' + path)} {quoted(b'b/' + path)}"
    if before is None and after is not None:
        yield f"new file mode {after.mode}"
    elif after is None and before is not None:
        yield f"deleted file mode {before.mode}"
    elif before is not None and after is not None and before.mode != after.mode:
        yield f"old mode {before.mode}"
        yield f"new mode {after.mode}"


def quoted(name: bytes) -> str:
    """Return a name as git writes it: with other signs than a plain name has, in quotes and with C's escapes."""
    if _PLAIN.fullmatch(name):
        return name.decode()
    shown = (_ESCAPES.get(byte) or (chr(byte) if 0x20 <= byte < 0x7F else f"\\{byte:03o}") for byte in name)
    return f'"{"".join(shown)}"'
