"""A statement in one line, for a reader who knows the recipe."""

from __future__ import annotations

MARK = "…"
"""Stands for the lines of a block that are left out."""
_TEXTS = ("run", "test", "start", "health", "file")
"""The statements whose block is a text; the blocks of all others are words."""


def one_line(text: str) -> str:
    """Return a statement in one line that reads as the statement does.

    Words in a block are joined to those of the keyword's line. A script or a file's content is not: of it stands the
    first line, and a mark for the others.
    """
    first, *rest = _logical_lines(text)
    keyword = _keyword(first)
    if keyword not in _TEXTS:
        return " ".join(filter(None, map(_without_comment, (first, *rest))))
    if rest and not _after_options(first, len(keyword)):
        first = f"{first} {rest.pop(0)}"
    return f"{first} {MARK}" if rest else first


def _logical_lines(text: str) -> list[str]:
    """Return the lines that say something, with white space made plain. A line that ends with a backslash is joined to
    the next."""
    lines: list[str] = []
    goes_on = False
    for line in text.strip().split("\n"):
        words = " ".join(line.split())
        if lines and (not words or line.startswith("#")):
            continue
        ends = words.endswith("\\")
        words = words[:-1].rstrip() if ends else words
        if goes_on:
            lines[-1] = f"{lines[-1]} {words}"
        else:
            lines.append(words)
        goes_on = ends
    return lines


def _keyword(line: str) -> str:
    return next((line[:at] for at, letter in enumerate(line) if not letter.isalnum()), line)


def _after_options(line: str, start: int) -> str:
    """Return what of a line follows its keyword, which ends at `start`, and the keyword's options."""
    if line[start : start + 1] != "(":
        return line[start:].strip()
    quoted = False
    for at in range(start, len(line)):
        quoted ^= line[at] == '"'
        if line[at] == ")" and not quoted:
            return line[at + 1 :].strip()
    return ""


def _without_comment(line: str) -> str:
    if line.startswith("#"):
        return ""
    return line if '"' in line else line.partition(" #")[0]
