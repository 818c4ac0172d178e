"""Markdown whose readers trust it: a comment of a bot, into which others may put nothing but plain text.

Whatever comes from outside (names, versions, reasons, lines of files) stands in a code span or a fenced block, where
GitHub, GitLab and their like make nothing of it: no mention, heading, link, picture, reference or HTML. Control
characters are shown as escapes. `Markdown` can't be made of a text in any other way, and `fill` takes nothing else.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

from envbuild.ui.sanitize import visible

MAX_CODE = 500
"""Characters of a text that are shown."""
MAX_LINE = 1000
_RUNS = re.compile("`+")


class Markdown(str):
    """Markdown in which every text from outside is inert."""

    __slots__ = ()

    def __new__(cls, *_: object) -> Markdown:
        raise TypeError("markdown is made by fill(), code(), cell() and fenced()")


def fill(words: str, *values: Markdown | int) -> Markdown:
    """Return our own words, as they stand in the program, with a value for each `{}`. Raises TypeError for a plain
    text."""
    for value in values:
        if not isinstance(value, Markdown | int):
            raise TypeError(f"{value!r} is no markdown")
    return _made(words.format(*values))


def lines(parts: Iterable[Markdown], between: str = "\n") -> Markdown:
    """Join pieces of markdown."""
    pieces = list(parts)
    for piece in pieces:
        if not isinstance(piece, Markdown):
            raise TypeError(f"{piece!r} is no markdown")
    return _made(between.join(pieces))


def code(text: str) -> Markdown:
    """Return a text in one line, as a code span; of a long one the beginning."""
    shown = _cut(visible(text), MAX_CODE)
    if not shown:
        return _made("-")
    fence = "`" * (1 + max((len(run) for run in _RUNS.findall(shown)), default=0))
    # A span loses one space at each end if it has them at both, and a backtick at its end would lengthen the fence.
    pad = " " if "`" in (shown[0], shown[-1]) or shown[0] == shown[-1] == " " else ""
    return _made(f"{fence}{pad}{shown}{pad}{fence}")


def cell(text: str) -> Markdown:
    """Return what `code` does, for a cell of a table, whose ends are found before all else."""
    # Of `\|` in a text readers disagree whether the backslash or the bar is escaped.
    return _made(re.sub(r"(?<=\\)\|", r"\\x7c", code(text)).replace("|", "\\|"))


def fenced(kind: str, texts: Sequence[str], most: int) -> Markdown:
    """Return lines of a text as a block that none of them can end; of many the first `most`."""
    shown = [_cut(visible(text.replace("\t", "    ")), MAX_LINE) for text in texts[:most]]
    if len(texts) > most:
        shown.append(f"... and {len(texts) - most} more lines")
    fence = "`" * max(3, 1 + max((len(run) for text in shown for run in _RUNS.findall(text)), default=0))
    return _made("\n".join([f"{fence}{kind}", *shown, fence]))


def _made(text: str) -> Markdown:
    return str.__new__(Markdown, text)


def _cut(text: str, longest: int) -> str:
    return text if len(text) <= longest else f"{text[:longest]}…"
