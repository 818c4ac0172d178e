"""What the first build of a recipe says once: what copies leave out, and what docker would do otherwise."""

from __future__ import annotations

import os

from envbuild.build.context_ignore import IGNORE_FILES, without_effect
from envbuild.build.events import Notice
from envbuild.build.graph import PlannedRecipe
from envbuild.build.job import BuildJob
from envbuild.text.enumeration import first_of

MAX_TOLD = 3
"""Notes of one kind."""


def tell_first(job: BuildJob, recipe: PlannedRecipe) -> None:
    """Say what somebody may not expect of a recipe that has no lock yet."""
    _tell_left_out(job, recipe)
    _tell_habits(job, recipe)


def _tell_left_out(job: BuildJob, recipe: PlannedRecipe) -> None:
    """Say what a `copy` of a folder leaves out everywhere."""
    left_out = sorted(os.path.normpath(path) for context in job.sources.contexts(recipe) for path in context.left_out)
    if left_out:
        text = f"{recipe.path}: copy leaves out {first_of(left_out, MAX_TOLD)}"
        hint = "version control and locks of recipes change with every commit; a copy that names them takes them"
        job.reporter.emit(Notice("note", text, hint))


def _tell_habits(job: BuildJob, recipe: PlannedRecipe) -> None:
    """Say what means something else to docker: lines of .envignore that bring nothing back,
    and where directories lie that docker would take apart."""
    for context in job.sources.contexts(recipe):
        for line, instead in list(without_effect(context.ignored, context.folder))[:MAX_TOLD]:
            text = f"{os.path.join(context.shown, IGNORE_FILES[0])}: '{line}' brings nothing back"
            job.reporter.emit(Notice("note", text, f"what it is in is left out, as git does: write {instead}"))
    for source, destination in list(job.sources.nested(recipe).items())[:MAX_TOLD]:
        name = source.rpartition("/")[2]
        text = f"{recipe.path}: copy {source} -> {destination} puts it at {destination}{name}"
        hint = f"docker puts what is in it into {destination}: copy {source}/ -> {destination}, or copy(contents)"
        job.reporter.emit(Notice("note", text, hint))
