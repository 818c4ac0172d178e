"""Errors in a recipe with their places, and the text that shows them."""

from __future__ import annotations

from collections.abc import Iterable
from unicodedata import category, combining, east_asian_width

from envbuild.errors import UsageError
from envbuild.record import Record

MAX_SHOWN = 1_000
"""Diagnostics that are shown; the others are counted."""
MAX_MESSAGE = 2_000
MAX_LINE = 400
"""Characters of a line that are shown."""


class Diagnostic(Record):
    """An error at a place.

    `line` and `column` count from 1; line 0 means the file as a whole. `length` is how many characters the
    caret underlines. `chain` are the includes that led to the file, as `FILE:LINE`, the innermost first.
    `source` is the line itself.
    """

    message: str
    file: str
    line: int = 0
    column: int = 0
    length: int = 1
    hint: str = ""
    chain: tuple[str, ...] = ()
    source: str = ""
    severity: str = "error"


class RecipeErrors(UsageError):
    """All errors of a recipe and the files that it includes. The message is the rendered text."""

    def __init__(self, diagnostics: Iterable[Diagnostic]) -> None:
        self.diagnostics = tuple(diagnostics)
        super().__init__(render(self.diagnostics))


def render(diagnostics: Iterable[Diagnostic]) -> str:
    """Return the diagnostics as text for a user, separated by empty lines; no newline at the end."""
    every = list(diagnostics)
    parts = [_render_one(diagnostic) for diagnostic in every[:MAX_SHOWN]]
    if len(every) > MAX_SHOWN:
        parts.append(f"error: and {len(every) - MAX_SHOWN} more errors")
    return "\n\n".join(parts)


def _render_one(diagnostic: Diagnostic) -> str:
    column = diagnostic.column
    diagnostic = _cut(diagnostic)
    number = str(diagnostic.line) if diagnostic.line else " "
    gutter = " " * (len(number) + 2) + "|"
    edge = " " * len(number)
    lines = [f"{diagnostic.severity}: {diagnostic.message}"]
    if diagnostic.line:
        lines.append(f"{edge} --> {diagnostic.file}:{diagnostic.line}:{column}")
        lines.append(gutter)
        lines.append(f" {number} | {_printable(diagnostic.source)}".rstrip())
        before = diagnostic.source[: diagnostic.column - 1].ljust(diagnostic.column - 1)
        under = diagnostic.source[diagnostic.column - 1 :][: diagnostic.length]
        carets = "^" * max(1, sum(_width(character) for character in under))
        lines.append(f"{gutter} {_blank(before)}{carets} {diagnostic.hint}".rstrip())
    else:
        lines.append(f"{edge} --> {diagnostic.file}")
        if diagnostic.hint:
            lines.append(f"{edge}  = {diagnostic.hint}")
    lines.extend(f"{edge}  = included from {place}" for place in diagnostic.chain)
    return "\n".join(lines)


def _cut(diagnostic: Diagnostic) -> Diagnostic:
    """Return the diagnostic with a very long message cut, and a very long line cut to the part around the place."""
    if len(diagnostic.message) > MAX_MESSAGE:
        diagnostic = diagnostic.replace(message=diagnostic.message[:MAX_MESSAGE] + "...")
    if len(diagnostic.source) <= MAX_LINE:
        return diagnostic
    start = max(0, diagnostic.column - 1 - MAX_LINE // 4)
    head = "..." if start else ""
    return diagnostic.replace(
        source=head + diagnostic.source[start : start + MAX_LINE] + "...",
        column=diagnostic.column - start + len(head),
        length=min(diagnostic.length, MAX_LINE // 4),
    )


def _blank(text: str) -> str:
    """Return white space as wide as `text`; tabs stay tabs, so that the caret is aligned whatever their width."""
    return "".join("\t" if character == "\t" else " " * _width(character) for character in text)


def _width(character: str) -> int:
    if combining(character):
        return 0
    return 2 if east_asian_width(character) in "WF" else 1


def _printable(line: str) -> str:
    """Return the line with invisible characters, and those that move the cursor, replaced."""
    return "".join(
        character if character == "\t" or category(character)[0] != "C" else "\N{REPLACEMENT CHARACTER}"
        for character in line
    )
