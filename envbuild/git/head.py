"""The branch that is checked out, read from git's own file: a build with nothing to do has no time to start git."""

from __future__ import annotations

import os

_BRANCH = "ref: refs/heads/"


def branch_of(folder: str) -> str | None:
    """The branch of the working tree that `folder` lies in; None outside of one, and for a detached HEAD
    (gitrepository-layout(5): HEAD, and a `.git` that is a file)."""
    git = repository_of(folder)
    if git is None:
        return None
    try:
        if os.path.isfile(git):
            with open(git, encoding="utf-8") as file:
                git = os.path.join(os.path.dirname(git), file.read().removeprefix("gitdir:").strip())
        with open(f"{git}/HEAD", encoding="utf-8") as file:
            head = file.read().strip()
    except (OSError, UnicodeDecodeError):
        return None
    return head.removeprefix(_BRANCH) if head.startswith(_BRANCH) else None


def repository_of(folder: str) -> str | None:
    """The `.git` of the working tree that `folder` lies in."""
    folder = os.path.abspath(folder)
    while not os.path.exists(f"{folder}/.git"):
        above = os.path.dirname(folder)
        if above == folder:
            return None
        folder = above
    return f"{folder}/.git"
