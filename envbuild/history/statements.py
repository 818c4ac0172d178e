"""The statements in which the recipes of two environments differ."""

from __future__ import annotations

from envbuild.history.contents import unified
from envbuild.history.side import Side, Statement


def statement_changes(old: Side, new: Side) -> list[str]:
    """The hunks of a unified diff of the statements, stage by stage; empty if they are the same.

    Places are left out: a line that was inserted above changes no statement. Of a side that is known by its lock
    alone only first lines are there, and so only these are compared.
    """
    short = old.tree is None or new.tree is None
    return list(unified(_lines(old, short), _lines(new, short)))


def _lines(side: Side, short: bool) -> list[str]:
    lines: list[str] = []
    stage = None
    for one in side.statements:
        if one.stage != stage:
            stage = one.stage
            lines.append(f"stage {stage}")
        lines += [f"  {line}" for line in _text(one, short)]
    return lines


def _text(one: Statement, short: bool) -> list[str]:
    lines = one.text.strip().splitlines() or [""]
    return [lines[0].removesuffix(" ...").rstrip()] if short else lines
