"""The statements in which the recipes of two environments differ."""

from __future__ import annotations

import os
from collections.abc import Iterator

from envbuild.history.file_diff import unified
from envbuild.history.operand import Side, Statement


def statement_changes(old: Side, new: Side) -> list[str]:
    """The lines of a unified diff of the two recipes; empty if they are the same.

    Where the text of one is not known, the statements that its lock or its image names are compared, stage by stage;
    of a lock these are first lines.
    """
    if all(side.recipe and side.recipe[0][1] for side in (old, new)):
        return list(_texts(old, new))
    short = old.tree is None or new.tree is None
    return list(unified(_lines(old, short), _lines(new, short)))


def _texts(old: Side, new: Side) -> Iterator[str]:
    before, after = dict(old.recipe[1:]), dict(new.recipe[1:])
    pairs = [(old.recipe[0], new.recipe[0])]
    # Of files that are included both sides have to know all: a side from git knows its recipe alone.
    if len(old.recipe) > 1 and len(new.recipe) > 1:
        names = {os.path.basename(path) for path in (*before, *after)}
        ours = {os.path.basename(path): (path, text) for path, text in before.items()}
        theirs = {os.path.basename(path): (path, text) for path, text in after.items()}
        pairs += [(ours.get(name, (name, "")), theirs.get(name, (name, ""))) for name in sorted(names)]
    for (path, text), (other, changed) in pairs:
        hunks = list(unified(text.splitlines(), changed.splitlines()))
        if hunks:
            yield from (f"--- {path}", f"+++ {other}", *hunks)


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
