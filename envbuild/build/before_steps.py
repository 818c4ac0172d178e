"""What is looked at and said of the steps that are left before the first of them runs."""

from __future__ import annotations

from collections.abc import Sequence

from envbuild.build.events import Notice
from envbuild.build.graph import Stage
from envbuild.build.job import BuildJob
from envbuild.build.open_network import INSTEAD, note_of, places_of
from envbuild.build.user_grants import GrantCheck
from envbuild.language.model import Run, Test


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
        at = job.progress.get(stage)
        known = {step.place for step in at.steps[: at.next_number]} if at is not None else set()
        for place in places_of(stage.written.statements):
            if place not in known:
                job.reporter.emit(Notice("note", note_of(place), INSTEAD))
