"""A comparison of two images of registries, as lines and as plain data."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from envbuild.sharing.remote_diff import Difference
from envbuild.sharing.remote_files import FileChanges
from envbuild.text.sizes import format_size
from envbuild.tree.diff import Change, aspects
from envbuild.ui.reports.path_lines import path_lines
from envbuild.ui.reports.report import path_of
from envbuild.ui.sanitize import visible
from envbuild.ui.stream import Output

_MAX_SHOWN = 100
"""Paths that are listed where not all are asked for."""


def lines_of(
    difference: Difference, files: FileChanges | None, output: Output, *, everything: bool = False
) -> Iterator[str]:
    """Yield the lines; `files` is None where only the layers are known."""
    said = False
    for name, old, new in (*difference.facts, *difference.packages):
        said = True
        yield visible(f"~ {name}: {old} -> {new}" if old and new else f"+ {name} {new}" if new else f"- {name} {old}")
    changes = [change for change in files.changes if not _is_time(change)] if files is not None else []
    shown = changes if everything else changes[:_MAX_SHOWN]
    yield from path_lines([path_of(change) for change in shown], output)
    if len(shown) < len(changes):
        yield f"  and {len(changes) - len(shown)} more: --all lists them"
    if files is not None and files.more:
        yield "  and more, which are not listed"
    times = len(files.changes) - len(changes) if files is not None else 0
    if times:
        yield f"  {times} differ in their times alone"
    for sign, layers in (("-", difference.removed), ("+", difference.added)):
        for layer in layers:
            said = True
            yield visible(f"{sign} layer {layer.digest[7:19]}  {format_size(layer.size)}  {layer.title}")
    if not said and not changes and not times:
        yield "the same"
        return
    yield f"{difference.same} layers are the same; {format_size(difference.to_fetch)} to fetch"


def plain_of(difference: Difference, files: FileChanges | None) -> dict[str, Any]:
    """Return the documented JSON form (docs/commands.md); `files` is null where only the layers are known."""
    listed = [path_of(change) for change in files.changes] if files is not None else None
    return {**difference.plain(), "files": listed, "more_files": files is not None and files.more}


def _is_time(change: Change) -> bool:
    return aspects(change) == ("time",)
