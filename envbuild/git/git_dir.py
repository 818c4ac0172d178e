"""The `.git` of a working tree and the branch that its HEAD names, read without git: a cached build has no time to
start it."""

from __future__ import annotations

import os

from envbuild.linux.nofollow import read_plain

_BRANCH = "ref: refs/heads/"
_MAX_BYTES = 1 << 16


def branch_of(folder: str) -> str | None:
    """Return the branch of the working tree that `folder` lies in; None outside of one, and for a detached HEAD
    (gitrepository-layout(5): HEAD, and a `.git` that is a file)."""
    git_dir = git_dir_of(folder)
    if git_dir is None:
        return None
    try:
        if not os.path.isdir(git_dir):
            target = read_plain(git_dir, _MAX_BYTES).decode().removeprefix("gitdir:").strip()
            git_dir = os.path.join(os.path.dirname(git_dir), target)
        head = read_plain(f"{os.path.realpath(git_dir)}/HEAD", _MAX_BYTES).decode().strip()
    except (OSError, ValueError):
        return None
    return head.removeprefix(_BRANCH) if head.startswith(_BRANCH) else None


def git_dir_of(folder: str) -> str | None:
    """Return the path of the `.git` of the working tree that `folder` lies in, with all links on the way resolved."""
    folder = os.path.realpath(folder)
    while not os.path.lexists(f"{folder}/.git"):
        above = os.path.dirname(folder)
        if above == folder:
            return None
        folder = above
    return f"{folder.rstrip('/')}/.git"
