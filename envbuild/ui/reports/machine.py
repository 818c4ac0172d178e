"""What was done to a machine between two captures, as lines: each kind of state with its records and paths."""

from __future__ import annotations

from envbuild.text.width import columns, cut, pad
from envbuild.ui.reports.path_lines import edited_lines, path_lines
from envbuild.ui.sanitize import visible
from envbuild.ui.stream import Output

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

_SIGNS = {"added": ("+", "good"), "removed": ("-", "error")}
_WORDS = {"groups": ("group",), "timers": ("timer",)}
"""What stands before records that share their cause with others."""
_GAP = "  "


def machine_lines(causes: list[dict[str, Any]], output: Output, width: int | None, indent: str) -> list[str]:
    """Return the lines, each in at most `width` columns if that is known. The name of a cause stands before its first
    line."""
    aligned = max((columns(cause["cause"]) for cause in causes), default=0)
    lines = []
    for cause in causes:
        name = visible(cause["cause"])
        left = None if width is None else width - len(indent) - aligned - len(_GAP)
        shown = [record_line(record, output, left) for record in cause["records"]]
        for path in cause["paths"]:
            shown += [*path_lines([path], output, left), *edited_lines(path, output, left, "")]
        if not shown and cause["folded"]:
            shown = [f"{cause['folded']} paths"]
        for line in shown:
            lines.append(f"{indent}{pad(name, aligned)}{_GAP}{line}".rstrip())
            name = ""
    return lines


def record_line(record: dict[str, Any], output: Output, width: int | None = None) -> str:
    """Return a record that came or went: `+ alice  1000`."""
    sign, style = _SIGNS[record["verb"]]
    text = visible(record_text(record))
    return f"{output.paint(sign, style)} {text if width is None else cut(text, max(width - 2, 1))}"


def record_text(record: dict[str, Any]) -> str:
    """Return what a record says, as it stands in the capture: `alice  1000`."""
    return _GAP.join(field for field in (*_WORDS.get(record["kind"], ()), *record["fields"]) if field)
