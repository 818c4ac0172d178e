"""The images of a merge in git, and the builds that they are held against, as lines and as plain data (docs/merge.md
has the forms)."""

from __future__ import annotations

from collections.abc import Iterator

from envbuild.build.tree_checks import Verdict
from envbuild.rebase.git_merge import RecipeMerge
from envbuild.rebase.rebuild import DIFFERENT, FAILED, LEFT, LOST, RUNNING, SAME, TIMES, WAITING, Rebuild
from envbuild.rebase.verification import Verification
from envbuild.ui.humanize import count
from envbuild.ui.reports.merge import conflict_lines, merge_plain
from envbuild.ui.sanitize import visible
from envbuild.ui.stream import Output

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

_SHOWN_LINES = 12
"""Of what a check printed; the last ones."""
_STATES = {
    WAITING: "the real build is to come",
    RUNNING: "the real build is running",
    SAME: "the real build gives the same image",
    TIMES: "the real build gives the same, but for times",
    DIFFERENT: "the real build gives something else",
    FAILED: "the real build failed",
    LEFT: "recipe or lock changed during the real build: the lock was not written",
    LOST: "the real build was ended",
}
_HINTS = {LOST: "envbuild merge --rebuild begins again", LEFT: "envbuild build writes it"}


def recipe_merge_lines(recipe: RecipeMerge, rebuild: Rebuild | None, output: Output) -> Iterator[str]:
    """Return the lines for a recipe of a merge."""
    path = visible(recipe.sides.path)
    if recipe.result is None:
        yield f"{path}: its images can't be merged"
        for side in recipe.sides.missing:
            yield f"    {side.who:<7} {side.commit[:12]}: {visible(side.reason)}"
        yield f"hint: build it as it was: git worktree add ../{recipe.name}-{recipe.sides.missing[0].who} COMMIT"
        return
    if recipe.finished is None:
        yield f"{path}:"
        yield from conflict_lines(merge_plain(recipe.result)["conflicts"], output)
        yield "hint: --ours NAME or --theirs NAME decides one, by the names in this list"
        return
    image = recipe.finished.image.digest[:12]
    if recipe.is_good:
        yield f"{path}: {output.paint(f'{recipe.name}:merged', 'strong')} is {image}"
    else:
        yield f"{path}: {output.paint(f'image {image} is not tagged', 'error')}: it fails"
    for name, reason in recipe.finished.left:
        yield f"    {visible(name)} is not made anew: {visible(reason)}"
    if recipe.verification is not None:
        yield from verification_lines(recipe.verification, output)
    for name in recipe.unmerged:
        yield f"    {visible(name)} has conflicts: resolve them, and run envbuild merge again for the real build"
    if rebuild is not None and recipe.is_good and not recipe.unmerged:
        yield from (f"    {line}" for line in rebuild_lines(rebuild))


def verification_lines(verification: Verification, output: Output) -> Iterator[str]:
    """Return the lines for what tests and audits said, indented."""
    passed = [verdict.name for verdict in verification.verdicts if verdict.passed]
    if passed:
        yield f"    {count(len(passed), 'check')} passed: {', '.join(map(visible, passed))}"
    for name, line in verification.known:
        yield f"    {visible(name)} said so before: {visible(line)}"
    for name, reason in verification.left_out:
        yield f"    not run: {visible(name)}: {visible(reason)}"
    for verdict in verification.failures:
        yield f"    {output.paint(visible(verdict.name), 'error')}: {_how(verdict)}"
        yield from (f"        {visible(line)}" for line in verdict.lines[-_SHOWN_LINES:])
    if verification.failures:
        yield "hint: --no-verify tags it all the same"


def _how(verdict: Verdict) -> str:
    if verdict.reason:
        return visible(verdict.reason)
    return f"exit code {verdict.status}" if verdict.status else "it found something"


def rebuild_of_recipe_lines(path: str, rebuild: Rebuild) -> list[str]:
    """Return the lines for the rebuild of a recipe."""
    return [f"{visible(path)}: {rebuild.merged[:12]} was merged", *(f"    {line}" for line in rebuild_lines(rebuild))]


def rebuild_lines(rebuild: Rebuild) -> Iterator[str]:
    """Return the lines for a rebuild, without its recipe."""
    built = f", {rebuild.rebuilt[:12]}" if rebuild.rebuilt and rebuild.state != SAME else ""
    yield f"{_STATES[rebuild.state]}{built}"
    yield from (f"    {visible(line)}" for line in rebuild.lines)
    if rebuild.state in _HINTS:
        yield f"hint: {_HINTS[rebuild.state]}"
    elif rebuild.state in (WAITING, RUNNING) and not rebuild.lines:
        yield "    envbuild merge --status says what comes of it"


def rebuild_plain(rebuild: Rebuild) -> dict[str, Any]:
    """Return the documented form of a rebuild."""
    return {
        "merged": f"sha256:{rebuild.merged}",
        "state": rebuild.state,
        "rebuilt": f"sha256:{rebuild.rebuilt}" if rebuild.rebuilt else None,
        "lines": list(rebuild.lines),
    }


def verification_plain(verification: Verification) -> dict[str, Any]:
    """Return the documented form of what tests and audits said."""
    return {
        "checks": [
            {
                "name": verdict.name,
                "passed": verdict.passed,
                "status": verdict.status,
                "lines": list(verdict.lines),
                "reason": verdict.reason,
            }
            for verdict in verification.verdicts
        ],
        "known": [{"name": name, "line": line} for name, line in verification.known],
        "left_out": [{"name": name, "reason": reason} for name, reason in verification.left_out],
    }


def recipe_merge_plain(recipe: RecipeMerge, rebuild: Rebuild | None) -> dict[str, Any]:
    """Return the documented form of a recipe of a merge."""
    sides = (recipe.sides.base, recipe.sides.ours, recipe.sides.theirs)
    finished = recipe.finished
    return {
        "recipe": recipe.sides.path,
        "sides": {
            side.who: {
                "commit": side.commit,
                "image": f"sha256:{side.image.digest}" if side.image is not None else None,
                "reason": side.reason,
            }
            for side in sides
        },
        "unmerged": list(recipe.unmerged),
        **(merge_plain(recipe.result) if recipe.result is not None else {}),
        "image": f"sha256:{finished.image.digest}" if finished is not None else None,
        "tagged": recipe.is_good,
        "checks": verification_plain(recipe.verification) if recipe.verification is not None else None,
        "rebuild": rebuild_plain(rebuild) if rebuild is not None else None,
    }
