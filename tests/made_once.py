"""Projects that are made once in a session, and are there again for each test as they were made.

A build of a recipe with one step costs ten times what a copy of its small store does. A store knows its recipes by
their paths, so a project is in the same folder for all its tests, which come one after another.
"""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tests.conftest import Project


class MadeOnce:
    """The projects that were made in a folder. What makes them leaves files of this user alone."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._made: dict[Callable[[Project], None], Path] = {}

    @contextmanager
    def again(self, project: Project, make: Callable[[Project], None], after: Path) -> Iterator[Project]:
        """Turns a new `project` into what `make` makes of it. `after` is where its folder and store go in the end, for
        whoever looks for why a test failed."""
        here = self._folder / "projects" / f"{make.__module__}.{make.__name__}"
        kept = self._made.get(make)
        shutil.rmtree(here, ignore_errors=True)  # left by a maker that failed
        if kept is None:
            here.parent.mkdir(exist_ok=True)
            here.mkdir()
            _copy(project.folder, here / "project")
            project.move(here / "project", here / "store")
            make(project)
            kept = self._folder / f"{len(self._made)}"
            _copy(here, kept)
            self._made[make] = kept
        else:
            _copy(kept, here)
            project.move(here / "project", here / "store")
        try:
            yield project
        finally:
            here.rename(after)


def _copy(source: Path, target: Path) -> None:
    """Copies all that is in a folder of this user's, with times, attributes and hard links."""
    subprocess.run(["cp", "-a", "--reflink=auto", str(source), str(target)], check=True)
