"""The differences between the recipes of two environments."""

from __future__ import annotations

import os
from collections.abc import Iterator

from envbuild.history.line_diff import unified
from envbuild.history.operand import Operand, Statement


def statement_changes(old: Operand, new: Operand) -> list[str]:
    """Return the lines of a unified diff of the two recipes; empty if they are equal.

    If the text of one is unknown, the statements in its lock or image are compared, stage by stage; a lock has only
    their first lines.
    """
    if all(side.recipe and side.recipe[0][1] for side in (old, new)):
        return list(_texts(old, new))
    short = old.tree is None or new.tree is None
    return list(unified(_lines(old, short), _lines(new, short)))


def _texts(old: Operand, new: Operand) -> Iterator[str]:
    before, after = dict(old.recipe[1:]), dict(new.recipe[1:])
    pairs = [(old.recipe[0], new.recipe[0])]
    # Included files are compared only if both operands have all of them: one from git has only its recipe.
    if len(old.recipe) > 1 and len(new.recipe) > 1:
        names = {os.path.basename(path) for path in (*before, *after)}
        ours = {os.path.basename(path): (path, text) for path, text in before.items()}
        theirs = {os.path.basename(path): (path, text) for path, text in after.items()}
        pairs += [(ours.get(name, (name, "")), theirs.get(name, (name, ""))) for name in sorted(names)]
    for (old_path, text), (new_path, changed) in pairs:
        hunks = list(unified(text.splitlines(), changed.splitlines()))
        if hunks:
            yield from (f"--- {old_path}", f"+++ {new_path}", *hunks)


def _lines(side: Operand, short: bool) -> list[str]:
    lines: list[str] = []
    stage = None
    for statement in side.statements:
        if short and statement.test:
            continue  # a lock has none of them
        if statement.stage != stage:
            stage = statement.stage
            lines.append(f"stage {stage}")
        lines += [f"  {line}" for line in _text(statement, short)]
    return lines


def _text(statement: Statement, short: bool) -> list[str]:
    lines = statement.text.strip().splitlines() or [""]
    return [lines[0].removesuffix(" ...").rstrip()] if short else lines
