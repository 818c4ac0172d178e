"""The files of this machine that a build was made from."""

from __future__ import annotations

import os
from collections.abc import Iterator

from envbuild.build.context import IGNORE_FILE, Found
from envbuild.build.state import RecipeRun, Session
from envbuild.tree.entry import DIRECTORY


def files_read(session: Session, one: RecipeRun) -> Iterator[str]:
    """The real paths of what a recipe and its includes are, and of what they took of the folders; links that were
    copied are among them, folders are not."""
    for path, _ in one.recipe.files:
        yield os.path.realpath(path)
    for context in session.contexts_of(one):
        ignore = f"{context.folder}/{IGNORE_FILE}"
        if os.path.lexists(ignore):
            yield ignore
        yield from context.texts
        for found in context.taken.values():
            yield from _inside(found)


def _inside(found: Found) -> Iterator[str]:
    if found.entry.kind != DIRECTORY:
        yield found.path
    for child in found.children:
        yield from _inside(child)
