"""The projects of one store, and how people name them."""

from __future__ import annotations

import os

from envbuild.store.project import DIGITS, Project, split_project
from envbuild.store.record_text import typed

TYPE_CHECKING = False
if TYPE_CHECKING:
    from envbuild.store.database import Database

MIN_DIGITS = 4
"""Digits of an id that have to follow the name of the directory, if any do."""


class Projects:
    """The projects that have or had names in one store."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._names: dict[str, str] = {}

    def add(self, project: Project) -> None:
        """Put a project on record."""
        known = self._database.row("SELECT 1 FROM projects WHERE id = ?", (project.id,))
        if known is None:
            self._names.clear()
            self._database.write(
                "INSERT OR IGNORE INTO projects VALUES (?, ?)", (project.id, os.fsencode(project.path))
            )

    def all(self) -> list[Project]:
        """Return all projects on record, by their ids."""
        return [_project(row) for row in self._database.rows("SELECT id, path FROM projects ORDER BY id")]

    def get(self, identity: str) -> Project | None:
        """Return the project of this whole id."""
        row = self._database.row("SELECT id, path FROM projects WHERE id = ?", (identity,))
        return None if row is None else _project(row)

    def named(self, text: str) -> list[Project]:
        """Return the projects that `text` may mean: the one of this id, else those whose directory has this name, also
        with the first digits of the id behind it."""
        exact = self.get(text)
        return [exact] if exact is not None else [project for project in self.all() if _is_named(project, text)]

    def name(self, identity: str) -> str:
        """Return the shortest text that means this project alone."""
        if identity not in self._names:
            projects = self.all()
            shorter = range(len(identity) - DIGITS + MIN_DIGITS, len(identity))
            for text in (identity[: -DIGITS - 1], *(identity[:length] for length in shorter), identity):
                if [project.id for project in projects if _is_named(project, text)] == [identity] or text == identity:
                    self._names[identity] = text
                    break
        return self._names[identity]

    def shown(self, name: str, here: str = "") -> str:
        """Return a name as it is kept, as people write it: `PROJECT/NAME`, or NAME in the project with the id `here`.
        What follows the name, such as a tag, stays as it is."""
        identity, inner = split_project(name)
        return name if not identity else inner if identity == here else f"{self.name(identity)}/{inner}"


def _is_named(project: Project, text: str) -> bool:
    directory = project.id[: -DIGITS - 1]
    digits = len(text) - len(directory) - 1
    return text == directory or (digits >= MIN_DIGITS and project.id.startswith(text))


def _project(row: tuple[object, ...]) -> Project:
    identity, path = typed(row, (str, bytes), "a project on record")
    return Project(identity, os.fsdecode(path))
