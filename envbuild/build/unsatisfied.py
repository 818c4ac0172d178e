"""What is told where the packages of a lock don't go together: two branches may have pinned what only fits apart."""

from __future__ import annotations

from envbuild.build.graph import PlannedRecipe
from envbuild.build.progress import StageProgress
from envbuild.packages import apt_tasks, npm_tasks, pip_tasks
from envbuild.packages.plain_names import plain_name
from envbuild.plan.step import InstallPackages, Step

_MAX_SHOWN = 5
_NAMED = {"apt": apt_tasks.to_unpin, "pip": pip_tasks.apart, "npm": npm_tasks.apart}
"""What finds the packages that a package manager says don't go together."""


def unsatisfied(recipe: PlannedRecipe, at: StageProgress, number: int, step: Step, output: bytes) -> str:
    """Return which lines of the lock don't go together as a package manager says, and the command that mends it; ""
    where it says nothing of that or the packages are not the lock's."""
    answer = at.answers.get(number)
    action = step.action
    if (
        answer is None
        or not answer.from_lock
        or not isinstance(action, InstallPackages)
        or action.manager not in _NAMED
    ):
        return ""
    named = _NAMED[action.manager](output.decode("utf-8", "replace"))
    pinned = {
        name: package
        for answer in at.answers.values()
        if answer.question.manager == action.manager
        for package in answer.packages
        for name in {package.name, package.name.partition(":")[0]}
    }
    names = sorted(named & pinned.keys())
    if not names:
        return ""
    lines = (recipe.lock_text or "").splitlines()
    reasons = ["two branches may have pinned packages that don't go together:"]
    for name in names[:_MAX_SHOWN]:
        package = pinned[name]
        start = f'{{name: "{package.name}", version: "{package.version}"'
        place = next((f":{n}" for n, line in enumerate(lines, 1) if start in line), "")
        reasons.append(f"  {recipe.lock_path}{place}: {package.name} {package.version}")
    plain = dict.fromkeys(plain_name(name) for name in names[:_MAX_SHOWN])
    reasons.append(f"hint: envbuild update {recipe.path} {' '.join(plain)}")
    return "\n".join(reasons)
