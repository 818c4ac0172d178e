"""`build --rerun LINE`: which statements of the recipes it means."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Sequence

from envbuild.errors import UsageError, fields
from envbuild.language import model

Spot = tuple[str, int]
"""A statement by its file, as messages name it, and its first line."""


@fields
class NoStepThere(UsageError):
    """No step stands at the line that was named."""

    wanted: str
    lines: Sequence[str]

    def text(self) -> tuple[str, str]:
        near = ", ".join(self.lines[:12]) + (" ..." if len(self.lines) > 12 else "")
        return f"{self.wanted}: no step stands there", f"steps begin at the lines {near}" if self.lines else ""


def spots(recipes: Iterable[model.Recipe], kinds: tuple[type, ...], wanted: Sequence[str]) -> frozenset[Spot]:
    """Return the statements that `wanted` names: LINE of the last recipe, or FILE:LINE of any, an included file too.

    `kinds` are the statements that are steps. Raises NoStepThere.
    """
    listed = list(recipes)
    known = {
        (statement.place.file, statement.place.line): statement
        for recipe in listed
        for stage in recipe.stages
        for statement in stage.statements
        if isinstance(statement, kinds)
    }
    matches = set()
    for text in wanted:
        file, _, digits = text.rpartition(":")
        named = os.path.realpath(file or listed[-1].path)
        fitting = {
            spot
            for spot, statement in known.items()
            if re.fullmatch("[0-9]{1,9}", digits)
            and os.path.realpath(spot[0]) == named
            and spot[1] <= int(digits) < spot[1] + len(statement.text.splitlines())
        }
        if not fitting:
            raise NoStepThere(text, [str(line) for name, line in sorted(known) if os.path.realpath(name) == named])
        matches |= fitting
    return frozenset(matches)
