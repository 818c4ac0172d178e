"""The shares of one screen that the parts of a report get, however much each of them has to show."""

from __future__ import annotations

from collections.abc import Sequence

from envbuild.record import Record
from envbuild.ui.stream import Output

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, TextIO

ROWS = 40
"""Rows of a screen that nobody knows."""
MIN_ROWS = 24
MIN_PER_KIND = 2
"""Notices of each kind that are shown whatever the other kinds have."""


class Screen(Record):
    """A screen: a first view of a report fits its rows; `columns` is None if lines may have any length."""

    rows: int = ROWS
    columns: int | None = None


def screen_of(stream: TextIO) -> Screen:
    """Return the screen that a stream leads to."""
    if not stream.isatty():
        return Screen()
    columns, rows = Output(stream).terminal_size
    return Screen(max(rows, MIN_ROWS), columns)


def shares(wanted: Sequence[int], least: Sequence[int], rows: int) -> list[int]:
    """Return how many rows each part gets of those that it wants: first as many as `least` promises it, then what is
    left in the order of the parts."""
    given = [min(want, low) for want, low in zip(wanted, least, strict=True)]
    left = rows - sum(given)
    for number, want in enumerate(wanted):
        more = max(0, min(want - given[number], left))
        given[number] += more
        left -= more
    return given


def first_notices(notices: list[dict[str, Any]], rows: int) -> list[dict[str, Any]]:
    """Return as many notices as `rows`, in their order: the first of each kind, so that many of one kind never hide
    another."""
    if len(notices) <= rows:
        return notices
    kinds = list(dict.fromkeys(notice["notice"] for notice in notices))
    counts = [sum(notice["notice"] == kind for notice in notices) for kind in kinds]
    given = dict(zip(kinds, shares(counts, [MIN_PER_KIND] * len(kinds), rows), strict=True))
    chosen = []
    for notice in notices:
        if given[notice["notice"]]:
            given[notice["notice"]] -= 1
            chosen.append(notice)
    return chosen
