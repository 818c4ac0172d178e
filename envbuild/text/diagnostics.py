"""What is wrong with a recipe, with its place; and the text that shows it."""

from __future__ import annotations

from envbuild.errors import UsageError, fields
from envbuild.record import Record
from envbuild.text.width import columns

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

MAX_SHOWN = 1_000
"""Diagnostics that are shown of one file; the others are counted."""
MAX_MESSAGE = 2_000
MAX_LINE = 400
"""Characters of a line that are shown."""


class Diagnostic(Record):
    """One finding.

    `line` and `column` count from 1; a line of 0 means the file as a whole. `length` is how many characters the
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


@fields
class RecipeErrors(UsageError):
    """All that is wrong with a recipe and the files that it includes. The message is the rendered text."""

    diagnostics: Sequence[Diagnostic]

    def text(self) -> tuple[str, str]:
        return render(self.diagnostics), ""


def render(diagnostics: Iterable[Diagnostic]) -> str:
    """Return the diagnostics as a user reads them, with an empty line between two; no newline at the end."""
    shown = list(diagnostics)
    parts = [_render_one(diagnostic) for diagnostic in shown[:MAX_SHOWN]]
    if len(shown) > MAX_SHOWN:
        parts.append(f"error: and {len(shown) - MAX_SHOWN} more like these")
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
        carets = "^" * max(1, columns(_printable(under)))
        lines.append(f"{gutter} {_blank(before)}{carets} {diagnostic.hint}".rstrip())
    else:
        lines.append(f"{edge} --> {diagnostic.file}")
        if diagnostic.hint:
            lines.append(f"{edge}  = {diagnostic.hint}")
    lines.extend(f"{edge}  = included from {place}" for place in diagnostic.chain)
    return "\n".join(lines)


def _cut(diagnostic: Diagnostic) -> Diagnostic:
    """Return the diagnostic with what it shows of a message or line that no screen holds: of this the part around the
    place."""
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
    """Return white space as wide as `text`; tabs stay tabs, so that the caret stands right whatever their width."""
    return "".join("\t" if character == "\t" else " " * columns(character) for character in _printable(text))


def _printable(line: str) -> str:
    """Return the line with what would move the cursor or can't be seen replaced."""
    from unicodedata import category  # only for an error

    return "".join(
        character if character == "\t" or category(character)[0] != "C" else "\N{REPLACEMENT CHARACTER}"
        for character in line
    )
