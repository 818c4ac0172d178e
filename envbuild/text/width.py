"""How many columns of a terminal a text takes, and text cut or filled to a number of columns."""

from __future__ import annotations


def columns(text: str) -> int:
    """Return the columns that `text` takes: wide characters (Unicode UAX #11) two, combining and format characters
    none."""
    if text.isascii():
        return len(text)
    return sum(map(_columns_of, text))


def cut(text: str, limit: int) -> str:
    """Return `text` if it takes at most `limit` columns, else as much of it as fits with an ellipsis at its end."""
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


def cut_middle(text: str, limit: int) -> str:
    """Return `text` if it takes at most `limit` columns, else its beginning and its end with an ellipsis between
    them."""
    if columns(text) <= limit:
        return text
    head = cut(text, max(1, limit // 3))
    left = limit - columns(head)
    start = len(text)
    while start and left >= _columns_of(text[start - 1]):
        start -= 1
        left -= _columns_of(text[start])
    return head + text[start:]


def pad(text: str, target: int, right: bool = False) -> str:
    """Return `text` filled with spaces to `target` columns; with `right` the text stands at the right."""
    filling = " " * (target - columns(text))
    return filling + text if right else text + filling


def _columns_of(character: str) -> int:
    if character.isascii():
        return 1
    from unicodedata import category, east_asian_width  # half a millisecond of each start

    if category(character) in ("Mn", "Me", "Cf"):
        return 0
    return 2 if east_asian_width(character) in "WF" else 1
