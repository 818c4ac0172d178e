"""Errors about what a step takes from elsewhere, shown with the step's statement."""

from __future__ import annotations

from envbuild.errors import EnvbuildError
from envbuild.language.git_address import without_options
from envbuild.language.statement_error import point_at
from envbuild.plan.step import Action, CopyIn, Execute, FetchFile, InstallPackages, Render, Step


def point_at_step(error: EnvbuildError, step: Step) -> None:
    """Have an error shown with the statement of a step, the caret under what it names."""
    point_at(error, step.place, step.statement, named_by(step.action))


def named_by(action: Action) -> tuple[str, ...]:
    """Return the words that name what an action takes from elsewhere."""
    match action:
        case CopyIn(origin=origin, sources=sources):
            return sources if origin is None else (*sources, origin.argument)
        case Render(template=template):
            return (template,)
        case FetchFile(url=url):
            return (without_options(url),)
        case Execute(mounts=mounts, shown=shown):
            trees = [name for mount in shown for name in (mount.source, mount.origin.argument)]
            return (*trees, *(source for source, _ in mounts))
        case InstallPackages(files=files):
            return tuple(path for _, path in files)
        case _:
            return ()
