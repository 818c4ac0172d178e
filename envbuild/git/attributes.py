"""Lets git merge locks: both sides' lines are kept, since each package has a line of its own (gitattributes(5)).

Without it two branches that each add a package would conflict in the lines that say what the image is.
"""

from __future__ import annotations

import os

from envbuild.errors import EnvbuildError
from envbuild.git.head import repository_of
from envbuild.linux.nofollow import open_real, read_plain

FILE = ".gitattributes"
_MOST = 1 << 20


def let_git_merge(lock_path: str) -> str:
    """Sees to it that git merges this lock. Returns the path of the file that was written for that, "" if nothing had
    to be done: the lock is in no repository, or its attributes say how it is merged."""
    folder, name = os.path.split(os.path.abspath(lock_path))
    folder = os.path.realpath(folder)
    if repository_of(folder) is None:
        return ""
    from envbuild.git.program import output  # subprocess: only where a lock is new

    try:
        if os.path.lexists(f"{folder}/{FILE}"):
            read_plain(f"{folder}/{FILE}", _MOST)  # git would wait for one that is a FIFO
        said = output(folder, "check-attr", "merge", "--", name, seconds=10)
    except (EnvbuildError, OSError):
        return ""
    if not said.rstrip().endswith(b": unspecified"):
        return ""
    pattern = "*.env.lock" if name.endswith(".env.lock") else f"/{name}"
    path = f"{folder}/{FILE}"
    try:
        append_line(path, f"{pattern} merge=union", _MOST)
    except OSError:
        return ""  # it can be merged by hand, too
    return path


def append_line(path: str, line: str, most: int) -> None:
    """Adds a line to a plain file at a path without links, which is made if it isn't there. Raises OSError."""
    try:
        text = read_plain(path, most)
    except FileNotFoundError:
        text = b""
    # What stands there now may be something else than what was read: a link is not followed, a FIFO not waited for.
    flags = os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_NONBLOCK | os.O_NOCTTY
    descriptor = open_real(path, flags)
    try:
        start = b"\n" if text and not text.endswith(b"\n") else b""
        os.write(descriptor, start + line.encode() + b"\n")
    finally:
        os.close(descriptor)
