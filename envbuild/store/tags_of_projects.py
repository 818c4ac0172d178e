"""Hands the tags of a store of format 4 over to the projects that they were made in.

Until then all repositories shared the names of a store: two clones moved one `web` in turn. Each move goes to the
project whose recipe was built, with the moves that followed from it, and each project's tag names what that project
moved it to last.
"""

from __future__ import annotations

import os

from envbuild.record import Record
from envbuild.store.project import Project, project_at
from envbuild.store.working_tree import WorkingTree
from envbuild.text import json

TYPE_CHECKING = False
if TYPE_CHECKING:
    import sqlite3
    from typing import Any

BUILD = "build"
_FOLLOWING = ("untag", "rollback", "fsck", "gc")
"""Moves of a tag as it stood: they belong where the move before them does."""


class _Move(Record):
    """The last move of a tag in one project: its entry's number, the image, and when."""

    number: int
    image: str | None
    moved: float


def hand_over(connection: sqlite3.Connection) -> None:
    """Give each tag, and each entry of its history, to the project that it was made in. What no build in a repository
    led to stays outside of all projects."""
    projects = _Projects()
    for (name, tag), moves in _divided(connection, projects).items():
        row = connection.execute(
            "SELECT image, moved, immutable FROM tags WHERE name = ? AND tag = ?", (name, tag)
        ).fetchone()
        if row is None:
            continue
        connection.execute("DELETE FROM tags WHERE name = ? AND tag = ?", (name, tag))
        newest = max(moves.values(), key=lambda move: move.number)
        for project, move in moves.items():
            # The newest is the tag as it is; of the others it is known what they named, and not whether it is there.
            values = row if move is newest else (move.image, move.moved, False)
            if move is newest or connection.execute("SELECT 1 FROM images WHERE digest = ?", (move.image,)).fetchone():
                connection.execute("INSERT INTO tags VALUES (?, ?, ?, ?, ?)", (_name(project, name), tag, *values))
    for record in projects.by_root.values():
        connection.execute("INSERT OR IGNORE INTO projects VALUES (?, ?)", (record.id, os.fsencode(record.path)))


def _divided(connection: sqlite3.Connection, projects: _Projects) -> dict[tuple[str, str], dict[str, _Move]]:
    """Give each entry of the history to its project; return for each (name, tag) the last move of each project, by its
    id."""
    before: dict[tuple[str, str], str] = {}
    made_in: dict[str, str] = {}
    last: dict[tuple[str, str], dict[str, _Move]] = {}
    query = "SELECT number, name, tag, image, moved, reason, detail FROM history ORDER BY number"
    for number, name, tag, image, moved, reason, detail in connection.execute(query).fetchall():
        if "/" in name:
            continue
        if reason in _FOLLOWING:
            project = before.get((name, tag), "")
        elif reason == BUILD:
            project = made_in[image] = projects.of(_known(detail).get("root"))
        else:
            # A tag or a commit: it belongs where its image, or the one that it came from, was made.
            project = made_in.get(image) or made_in.get(str(_known(detail).get("from", "")), "")
            made_in.setdefault(image, project)
        before[name, tag] = project
        last.setdefault((name, tag), {})[project] = _Move(number, image, moved)
        if project:
            connection.execute("UPDATE history SET name = ? WHERE number = ?", (_name(project, name), number))
    return last


def _name(project: str, name: str) -> str:
    return f"{project}/{name}" if project else name


class _Projects:
    """The projects of the working trees that builds are on record of."""

    def __init__(self) -> None:
        self.by_root: dict[str, Project] = {}

    def of(self, root: object) -> str:
        """Return the id of the project that a working tree is or was of, "" for none."""
        if not isinstance(root, str) or not root.startswith("/"):
            return ""
        if root not in self.by_root:
            # A worktree that is there belongs to its repository; of one that is gone nobody knows it any more.
            tree = WorkingTree.of(root) if os.path.isdir(root) else None
            self.by_root[root] = project_at(tree.project if tree is not None and tree.root == root else root)
        return self.by_root[root].id


def _known(detail: str) -> dict[str, Any]:
    try:
        known = json.loads(detail)
    except (ValueError, TypeError, RecursionError):
        return {}
    return known if isinstance(known, dict) else {}
