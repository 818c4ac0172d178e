"""Tables of plain aligned columns. Without rich, whose import takes longer than most of what is listed here."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence

from envbuild.text.width import columns, cut, pad
from envbuild.ui.sanitize import visible
from envbuild.ui.stream import Output

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import TextIO

    from envbuild.build.request import Move

_GAP = "  "
_MIN_WIDTH = 6
"""Columns below which no column is cut, however narrow the terminal."""


def table(
    headers: Sequence[str],
    rows: Iterable[Sequence[str]],
    *,
    stream: TextIO,
    width: int | None = None,
    right: Collection[int] = (),
    colour: bool = False,
) -> None:
    """Write rows under their headers, each column as wide as its widest cell.

    `right` are the numbers of the columns, from 0, that stand at the right: sizes and counts. With a `width` (a
    terminal's) the widest columns are cut until the table fits; without, nothing is cut. A cell that holds what a
    terminal would act on shows it as escapes. Without rows only the headers are written; headers that are all empty are
    left out.
    """
    output = Output(stream, colour)
    cells = [[visible(cell) for cell in row] for row in rows]
    heads = [visible(header) for header in headers]
    widths = [max(map(columns, column)) for column in zip(heads, *cells, strict=True)]
    if width is not None:
        widths = fitted(widths, width)
    lines = [_line(row, widths, right) for row in cells]
    if any(heads):
        lines.insert(0, output.paint(_line(heads, widths, right), "strong"))
    output.write_lines(lines)


def width_of(stream: TextIO) -> int | None:
    """Return the columns of the terminal that a stream leads to, None if it leads elsewhere."""
    return Output(stream).terminal_size[0] if stream.isatty() else None


def fitted(widths: Sequence[int], total: int) -> list[int]:
    """Return the widths of columns, the widest made narrower one by one until all fit into `total` columns."""
    result = list(widths)
    over = sum(result) + len(_GAP) * (len(result) - 1) - total
    while over > 0 and max(result, default=0) > _MIN_WIDTH:
        widest = max(result)
        second = max((width for width in result if width < widest), default=0)
        those = [position for position, width in enumerate(result) if width == widest]
        step = max(1, min(widest - max(second, _MIN_WIDTH), over // len(those)))
        for position in those:
            result[position] -= step
            over -= step
            if over <= 0:
                break
    return result


def _line(row: Sequence[str], widths: Sequence[int], right: Collection[int]) -> str:
    cells = [
        pad(cut(cell, width), width, number in right)
        for number, (cell, width) in enumerate(zip(row, widths, strict=True))
    ]
    return _GAP.join(cells).rstrip()


def print_moves(stream: TextIO, moves: Sequence[Move], *, colour: bool = False) -> None:
    """Print what `update` says of bases and packages: what they were, what they are now, and why. What has other
    content although its version is the same comes before all else."""
    if not moves:
        stream.write("nothing moved\n")
        return
    alike = [move for move in moves if move.same_version]
    output = Output(stream, colour)
    for move in alike:
        output.write_lines(
            [output.paint(visible(f"{move.recipe}: {move.manager} {move.name} {move.new}: {move.why}"), "error")]
        )
    why = ("WHY",) if any(move.why for move in moves) else ()
    headers = ("RECIPE", "STAGE", "MANAGER", "PACKAGE", "OLD", "NEW", *why)
    rows = [(m.recipe, m.stage or "-", m.manager, m.name, m.old or "-", m.new or "-", m.why) for m in moves]
    table(headers, [row[: len(headers)] for row in rows], stream=stream, colour=colour)
