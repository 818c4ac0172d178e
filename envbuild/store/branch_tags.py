"""Tags of branches: `NAME:branch/BRANCH`. Only builds in a branch of git move them, and no other tag has this form: a
branch called as a tag that somebody chose, such as `prod`, is not that tag."""

from __future__ import annotations

from envbuild.digest import sha256_of
from envbuild.text import json

TYPE_CHECKING = False
if TYPE_CHECKING:
    import sqlite3

PREFIX = "branch/"
DETACHED = "branch/HEAD"
"""The tag of builds with a detached HEAD: git lets nobody call a branch so."""
ALPHANUMERIC = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789"
ALLOWED = ALPHANUMERIC + "._-"
_LATEST = "latest"
_DIGITS = 8


def branch_tag(branch: str) -> str:
    """Return the tag of a branch. Two branches never have one tag: where a name holds what a tag can't, digits of its
    digest distinguish it."""
    tag = "/".join(filter(None, map(_plain, branch.split("/"))))
    if tag == branch:
        return PREFIX + tag
    return f"{PREFIX}{tag}{'-' if tag else ''}{sha256_of(branch.encode('utf-8', 'surrogateescape'))[:_DIGITS]}"


def is_branch_tag(tag: str) -> bool:
    """Return whether a tag is one of a branch."""
    return tag.startswith(PREFIX)


def _plain(text: str) -> str:
    """Return a text with `-` for what a tag can't hold: of a whole branch, its tag in format 3."""
    return "".join(letter if letter in ALLOWED else "-" for letter in text).lstrip("._-")


def bring_along(connection: sqlite3.Connection) -> None:
    """Give the tags of branches in a store of format 3, where a build in the branch `feature/x` moved `NAME:feature-x`,
    their own form. A tag that somebody set or made immutable stays as it is, and branches no longer move it."""
    names = connection.execute("SELECT DISTINCT name, tag FROM history").fetchall()
    for name, tag in names:
        row = connection.execute("SELECT immutable FROM tags WHERE name = ? AND tag = ?", (name, tag)).fetchone()
        moves = connection.execute(
            "SELECT number, image, moved, reason, detail FROM history WHERE name = ? AND tag = ? ORDER BY number",
            (name, tag),
        ).fetchall()
        if tag == _LATEST or (row is not None and row[0]):
            continue
        new = _branches_of(tag, [(reason, detail) for _, _, _, reason, detail in moves])
        if not new:
            continue
        last = {}
        for (number, image, moved, _, _), branch in zip(moves, new, strict=True):
            connection.execute("UPDATE history SET tag = ? WHERE number = ?", (branch, number))
            last[branch] = image, moved
        connection.execute("DELETE FROM tags WHERE name = ? AND tag = ?", (name, tag))
        for branch, (image, moved) in last.items():
            if image is not None:
                connection.execute("INSERT INTO tags VALUES (?, ?, ?, ?, 0)", (name, branch, image, moved))


def _branches_of(tag: str, moves: list[tuple[str, str]]) -> list[str]:
    """Return the new tag for each move of `tag`; [] if it is not the tag of a branch, or not only that."""
    tags: list[str] = []
    for reason, detail in moves:
        if reason == "build":
            try:
                branch = json.loads(detail).get("branch")
            except (ValueError, AttributeError):
                return []
            if not isinstance(branch, str) or _plain(branch) != tag:
                return []
            tags.append(branch_tag(branch))
        elif reason in ("untag", "rollback", "fsck") and tags:
            tags.append(tags[-1])
        else:
            return []
    return tags
