"""Lets git merge locks: both sides' lines are kept, since each package has a line of its own (gitattributes(5)).

Without it two branches that each add a package would conflict in the lines that say what the image is.
"""

from __future__ import annotations

import os
import subprocess

from envbuild.git.head import repository_of

FILE = ".gitattributes"


def let_git_merge(lock_path: str) -> str:
    """Sees to it that git merges this lock. Returns the path of the file that was written for that, "" if nothing had
    to be done: the lock is in no repository, or its attributes say how it is merged."""
    folder, name = os.path.split(os.path.abspath(lock_path))
    if repository_of(folder) is None:
        return ""
    words = ["git", "-C", folder, "check-attr", "merge", "--", name]
    try:
        done = subprocess.run(words, capture_output=True, text=True, check=False)
    except OSError:
        return ""
    if done.returncode != 0 or not done.stdout.rstrip().endswith(": unspecified"):
        return ""
    pattern = "*.env.lock" if name.endswith(".env.lock") else f"/{name}"
    path = f"{folder}/{FILE}"
    try:
        with open(path, "a+", encoding="utf-8") as file:
            file.seek(0)
            text = file.read()
            start = "\n" if text and not text.endswith("\n") else ""
            file.write(f"{start}{pattern} merge=union\n")
    except OSError:
        return ""  # it can be merged by hand, too
    return path
