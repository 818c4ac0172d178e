"""A failed step: what, where, how it ended, what it said last, and how to look at it."""

from __future__ import annotations

import re

from envbuild.build.events import StepFailed
from envbuild.ui.build_messages import label, status_in_words
from envbuild.ui.humanize import duration
from envbuild.ui.sanitize import LineCleaner, clean, visible
from envbuild.ui.stream import Output

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable


MAX_LINES = 20
_HEAD = re.compile(r"(?:apt|pip|npm)\b(?:\([^)\n]*\))?")
"""A statement about packages up to what it asks for."""
_WORD = re.compile(r"[^\s(),]+")
_NAME = re.compile(r"@?[A-Za-z0-9][A-Za-z0-9+._/-]+")
MAX_STATEMENT_LINES = 8


def failure_lines(event: StepFailed, main_recipe: str, output: Output) -> list[str]:
    """Return the block that a failed step leaves, in the form of the language's own errors.

    error: the command failed: exit status 2 --> web.env:12, in [wheels], after 3.2s | 12 | run make all | its last
    output: | make: *** No rule to make target 'all'. to look inside: envbuild shell --failed
    """
    message, *details = clean(event.message).split("\n")
    words = status_in_words(event.status)
    # What ended at its time limit was not killed for want of memory.
    if words and words.split(" (")[0] not in message and "timeout=" not in message:
        message = f"{message}: {words}" if message else words
    numbered = list(_statement(event))
    gutter = " " * max(len(number) for number, _ in numbered)
    place = f"{visible(event.file)}:{event.line}"
    lines = [f"{output.paint('error:', 'error')} {output.paint(message, 'strong')}"]
    lines += [f"  {line}" for line in details]
    lines.append(f"{gutter}--> {place}, in {label(event, main_recipe)}, after {duration(event.seconds)}")
    lines.append(f"{gutter} |")
    marked, carets = _carets(event)
    for offset, (number, text) in enumerate(numbered):
        lines.append(f"{number:>{len(gutter)}} | {text}".rstrip())
        if carets and offset == marked:
            lines.append(f"{gutter} | {carets}")
    lines.append(f"{gutter} |")
    last = last_lines(event.output)
    if last:
        lines.append("its last output:")
        lines += [f"{gutter} | {line}".rstrip() for line in last]
    if event.way_in:
        lines.append(f"to look inside: {output.paint(visible(event.way_in), 'strong')}")
    return lines


def last_lines(output: bytes, limit: int = MAX_LINES) -> list[str]:
    """Return the last lines of a step's output that say anything, clean."""
    cleaner = LineCleaner()
    lines = [*cleaner.feed(output), *cleaner.finish()]
    while lines and not lines[-1].strip():
        lines.pop()
    return lines[-limit:]


def _carets(event: StepFailed) -> tuple[int, str]:
    """Return which line of the statement has the package that the package manager could not find, else the file or the
    project that it is about, and what stands under it; "" where it is not known."""
    lines = event.text.split("\n")[:MAX_STATEMENT_LINES]
    return (_package(event, lines) if not event.status else None) or _word(event.marked, lines) or (0, "")


def _word(word: str, lines: list[str]) -> tuple[int, str] | None:
    for number, line in enumerate(lines):
        match = re.search(rf"(?<![\w./-]){re.escape(word)}(?![\w./-])", line.replace("\t", "    ")) if word else None
        if match is not None:
            return number, " " * match.start() + "^" * len(word)
    return None


def _package(event: StepFailed, lines: list[str]) -> tuple[int, str] | None:
    head = _HEAD.match(event.text)
    if head is None:
        return None
    words = [
        (len(name[0]), -number, word.start())
        for number, line in enumerate(lines)
        for word in _WORD.finditer(line.replace("\t", "    "), 0 if number else head.end())
        if (name := _NAME.match(word[0])) is not None
        if re.search(rf"(?<![\w.-]){re.escape(name[0])}(?![\w-])", event.message)
    ]
    if not words:
        return None
    length, number, column = max(words)
    return -number, " " * column + "^" * length


def _statement(event: StepFailed) -> Iterable[tuple[str, str]]:
    """Return the statement's lines with their numbers; of a long one the first."""
    lines = event.text.rstrip("\n").split("\n")
    for offset, line in enumerate(lines[:MAX_STATEMENT_LINES]):
        yield str(event.line + offset), visible(line.replace("\t", "    "))
    if len(lines) > MAX_STATEMENT_LINES:
        yield "", "..."
