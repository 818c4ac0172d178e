"""The columns that a text takes on a terminal, and text cut or padded to a number of columns."""

from __future__ import annotations

from unicodedata import category, east_asian_width


def columns(text: str) -> int:
    """Return the columns of `text`: two for wide characters (Unicode UAX #11), none for combining and format
    characters."""
    if text.isascii():
        return len(text)
    return sum(map(_columns_of, text))


def cut(text: str, limit: int) -> str:
    """Return `text` if it takes at most `limit` columns, else its beginning with an ellipsis."""
    if columns(text) <= limit:
        return text
    if limit < 1:
        return ""
    left = limit - 1
    for position, character in enumerate(text):
        left -= _columns_of(character)
        if left < 0:
            return text[:position] + "…"
    return text


def pad(text: str, target: int, right: bool = False) -> str:
    """Return `text` padded with spaces to `target` columns; with `right` the text is aligned right."""
    filling = " " * (target - columns(text))
    return filling + text if right else text + filling


def _columns_of(character: str) -> int:
    if character.isascii():
        return 1
    if category(character) in ("Mn", "Me", "Cf"):
        return 0
    return 2 if east_asian_width(character) in "WF" else 1
