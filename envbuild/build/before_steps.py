"""What is looked at and said of the steps that are left before the first of them runs."""

from __future__ import annotations

import os

from envbuild.build.events import Notice
from envbuild.build.graph import Stage
from envbuild.build.job import BuildJob
from envbuild.build.open_network import INSTEAD, note_of, places_of
from envbuild.build.user_grants import GrantCheck
from envbuild.language.model import Npm, Run, Test
from envbuild.language.statement_parts import Place

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence


def check_grants(job: BuildJob, stages: Sequence[Stage]) -> None:
    """Raise the error of a step that is going to run, since nobody has run it yet, and wants what the user has not
    given."""
    check = GrantCheck(job.request, lambda text, hint: job.reporter.emit(Notice("note", text, hint)))
    for stage in () if job.request.dry_run else stages:
        for statement in stage.written.statements:
            if not isinstance(statement, (Run, Test)) or not check.concerns(statement.options):
                continue
            if not job.request.use_cache or not job.store.steps.has_run(statement.text):
                check.check(statement)


def note_open_networks(job: BuildJob, stages: Sequence[Stage]) -> None:
    """Say which of the steps that are left have the whole network of this machine."""
    for stage in () if job.request.dry_run else stages:
        known = _known(job, stage)
        for place in places_of(stage.written.statements):
            if place not in known:
                job.reporter.emit(Notice("note", note_of(place), INSTEAD))


def warn_of_other_locks(job: BuildJob, stages: Sequence[Stage]) -> None:
    """Say where npm, in a step that is left, passes over the lock that another manager has for the same project."""
    for stage in stages:
        for statement in stage.written.statements:
            if isinstance(statement, Npm) and statement.project is not None and not statement.manager:
                manager, path = _other_lock(os.path.join(statement.folder, statement.project))
                if manager and statement.place not in _known(job, stage):
                    place = f"{statement.place.file}:{statement.place.line}"
                    text = f"{place}: npm does not read {path}, and chooses versions anew"
                    hint = (
                        f"to install what it has: npm(manager={manager}, ...); for what you have: npm(manager=npm, ...)"
                    )
                    job.reporter.emit(Notice("warning", text, hint))


def _other_lock(folder: str) -> tuple[str, str]:
    """Return the manager whose lock a project has, and the lock, where it has none of npm's; else "" twice."""
    from envbuild.packages.node_locks import OTHER_LOCKS  # only where a project of Node is installed
    from envbuild.packages.npm_settings import LOCK_NAMES

    if not any(os.path.lexists(os.path.join(folder, name)) for name in LOCK_NAMES):
        for manager, name in OTHER_LOCKS.items():
            if os.path.lexists(path := os.path.join(folder, name)):
                return manager, os.path.normpath(path)
    return "", ""


def _known(job: BuildJob, stage: Stage) -> set[Place]:
    """Return the places of the steps of a stage whose results the cache has."""
    at = job.progress.get(stage)
    return {step.place for step in at.steps[: at.next_number]} if at is not None else set()
