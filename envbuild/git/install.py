"""Sets up a clone: a readable diff and a merge of locks, and a check before each commit that they are up to date.

Drivers are settings of a clone, so the attributes that name them go into the clone's own file (gitattributes(5):
$GIT_DIR/info/attributes): a committed name that others have not set up would do nothing for them.
"""

from __future__ import annotations

import os
import stat

from envbuild.errors import UsageError
from envbuild.git.repository import GitFailed, Repository
from envbuild.record import Record

DRIVER = "envbuild-lock"
PATTERN = "*.env.lock"
ATTRIBUTES = f"{PATTERN} diff={DRIVER} merge={DRIVER}"
_MARK = "# envbuild: check that locks are up to date"


class Installed(Record):
    """What was set up: the file with the attributes, and the hook ("" where another one is there already)."""

    attributes: str
    hook: str
    other_hook: str = ""


class HookNotOurs(UsageError):
    """There is a hook of somebody else."""

    def __init__(self, path: str) -> None:
        super().__init__(f"{path} is there already", "add to it: envbuild git pre-commit || exit 1")


def install(repository: Repository, program: str) -> Installed:
    """Sets up the repository; again is no harm. `program` is how git starts envbuild, as words for a shell."""
    for name, value in (
        (f"diff.{DRIVER}.textconv", f"{program} git show-lock"),
        (f"diff.{DRIVER}.cachetextconv", "false"),
        (f"merge.{DRIVER}.name", "locks of envbuild"),
        (f"merge.{DRIVER}.driver", f"{program} git merge-lock %O %A %B %P"),
    ):
        repository.run("config", "--local", name, value)
    attributes = repository.git_path("info/attributes")
    _put_line(attributes, ATTRIBUTES)
    hook = repository.git_path("hooks/pre-commit")
    if os.path.exists(hook) and _MARK not in _read(hook):
        return Installed(attributes, "", hook)
    os.makedirs(os.path.dirname(hook), exist_ok=True)
    _write(hook, f"#!/bin/sh\n{_MARK}\nexec {program} git pre-commit\n")
    os.chmod(hook, stat.S_IMODE(os.stat(hook).st_mode) | 0o111)
    return Installed(attributes, hook)


def remove(repository: Repository) -> None:
    """Takes away what `install` set up."""
    for section in (f"diff.{DRIVER}", f"merge.{DRIVER}"):
        try:
            repository.run("config", "--local", "--remove-section", section)
        except GitFailed:
            continue  # it was not there
    attributes = repository.git_path("info/attributes")
    if os.path.exists(attributes):
        lines = [line for line in _read(attributes).splitlines() if line != ATTRIBUTES]
        _write(attributes, "".join(f"{line}\n" for line in lines))
    hook = repository.git_path("hooks/pre-commit")
    if os.path.exists(hook) and _MARK in _read(hook):
        os.unlink(hook)


def _put_line(path: str, line: str) -> None:
    text = _read(path) if os.path.exists(path) else ""
    if line not in text.splitlines():
        os.makedirs(os.path.dirname(path), exist_ok=True)
        _write(path, text + ("\n" if text and not text.endswith("\n") else "") + line + "\n")


def _read(path: str) -> str:
    with open(path, encoding="utf-8", errors="surrogateescape") as file:
        return file.read()


def _write(path: str, text: str) -> None:
    """Puts a whole file in place at once."""
    temporary = f"{path}.{os.getpid()}.new"
    with open(temporary, "w", encoding="utf-8", errors="surrogateescape") as file:
        file.write(text)
    os.replace(temporary, path)
