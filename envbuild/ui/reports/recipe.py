"""The recipe of a machine, as lines and as plain data (docs/capture.md has the form)."""

from __future__ import annotations

from collections.abc import Iterator

from envbuild.capture.machine_rules import LARGE, MACHINE, OWNER, PACKAGE
from envbuild.capture.recipe import MachineRecipe
from envbuild.drift.unexpressed import NOISE
from envbuild.ui.humanize import count
from envbuild.ui.reports.drift import dropped_lines, dropped_plain, noise_line, noise_plain, unexpressed_lines
from envbuild.ui.reports.report import path_of
from envbuild.ui.sanitize import visible
from envbuild.ui.stream import Output

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

MAX_PACKAGES = 20
"""Packages that are named on a terminal of those that differ."""
_FOLDED = (PACKAGE, MACHINE, LARGE, OWNER)


def recipe_plain(recipe: MachineRecipe) -> dict[str, Any]:
    """Return the documented form of a recipe that was written for a machine."""
    written = recipe.written
    return {
        "capture": recipe.name,
        "image": f"sha256:{recipe.image.digest}",
        "recipe": recipe.recipe,
        "from": recipe.base,
        "tree": f"sha256:{written.tree}",
        "lines": [line.text for line in written.lines],
        "files": len(written.plan.files),
        "dropped": dropped_plain(written.dropped),
        "packages": list(recipe.packages),
        "noise": noise_plain(row.rule for row in written.unexpressed if row.rule is not None),
        "not_expressed": [
            {**path_of(row.change), "why": row.kind, "reason": row.reason}
            for row in written.unexpressed
            if row.kind != NOISE
        ],
        "left_out": recipe.left_out,
        "unread": recipe.unread,
    }


def recipe_lines(plain: dict[str, Any], output: Output) -> Iterator[str]:
    """Yield the lines about a recipe, from its documented form."""
    files = f", which copy {count(plain['files'], 'file')}" if plain["files"] else ""
    yield f"{visible(plain['recipe'])} has {count(len(plain['lines']), 'line')} on {plain['from']}{files}"
    yield from dropped_lines(plain["dropped"], output)
    packages = plain["packages"]
    if packages:
        yield output.paint(f"not as on the machine: {count(len(packages), 'package')}", "warning")
        yield from (f"  {visible(line)}" for line in packages[:MAX_PACKAGES])
        if len(packages) > MAX_PACKAGES:
            yield f"  and {len(packages) - MAX_PACKAGES} more (at the end of the recipe)"
    if plain["noise"]:
        yield output.paint(f"not in the recipe, as noise: {noise_line(plain['noise'])}", "dim")
    yield from unexpressed_lines(plain["not_expressed"], output, _FOLDED)
    if plain["left_out"]:
        yield output.paint(f"left out of the capture: {count(plain['left_out'], 'path')}", "dim")
    if plain["unread"]:
        yield output.paint(
            f"not read by the capture, so not in the recipe: {count(plain['unread'], 'path')}", "warning"
        )
    yield "the recipe was built: it gives what the machine has, but for what is named above"
