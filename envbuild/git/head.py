"""The branch that is checked out, read from git's own file: a build with nothing to do has no time to start git."""

from __future__ import annotations

import os

from envbuild.linux.nofollow import read_plain

_BRANCH = "ref: refs/heads/"
_MOST = 1 << 16


def branch_of(folder: str) -> str | None:
    """The branch of the working tree that `folder` lies in; None outside of one, and for a detached HEAD
    (gitrepository-layout(5): HEAD, and a `.git` that is a file)."""
    git = repository_of(folder)
    if git is None:
        return None
    try:
        if not os.path.isdir(git):
            target = read_plain(git, _MOST).decode().removeprefix("gitdir:").strip()
            git = os.path.join(os.path.dirname(git), target)
        head = read_plain(f"{os.path.realpath(git)}/HEAD", _MOST).decode().strip()
    except (OSError, ValueError):
        return None
    return head.removeprefix(_BRANCH) if head.startswith(_BRANCH) else None


def repository_of(folder: str) -> str | None:
    """The `.git` of the working tree that `folder` lies in, with no link on the way to it."""
    folder = os.path.realpath(folder)
    while not os.path.lexists(f"{folder}/.git"):
        above = os.path.dirname(folder)
        if above == folder:
            return None
        folder = above
    return f"{folder.rstrip('/')}/.git"
