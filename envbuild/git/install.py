"""Sets up a clone: a readable diff and a merge of locks, and a check before each commit that they are up to date.

Drivers are settings of a clone, so the attributes that name them go into the clone's own file (gitattributes(5):
$GIT_DIR/info/attributes): a committed name that others have not set up would do nothing for them.
"""

from __future__ import annotations

import errno
import os

from envbuild.errors import UsageError
from envbuild.git.program import GitFailed
from envbuild.git.repository import Repository
from envbuild.linux.nofollow import open_real, read_plain
from envbuild.record import Record

DRIVER = "envbuild-lock"
PATTERN = "*.env.lock"
ATTRIBUTES = f"{PATTERN} diff={DRIVER} merge={DRIVER}"
_MOST = 1 << 20
_MARK = "# envbuild: check that locks are up to date"


class Installed(Record):
    """What was set up: the file with the attributes, and the hook ("" where another one is there already, or the
    clone's settings have git look for hooks in a folder that is not its own)."""

    attributes: str
    hook: str
    other_hook: str = ""


class NotOurs(UsageError):
    """A file of the clone's own can't be read or written."""

    def __init__(self, path: str, error: OSError) -> None:
        super().__init__(
            f"{path}: {error.strerror}", "what is set up lies in the clone's own .git, and no link of it is followed"
        )


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
    elsewhere = repository.hooks_elsewhere()
    if elsewhere:
        return Installed(attributes, "", os.path.join(elsewhere, "pre-commit"))
    hook = repository.git_path("hooks/pre-commit")
    if os.path.lexists(hook) and _MARK not in _read(hook):
        return Installed(attributes, "", hook)
    _write(hook, f"#!/bin/sh\n{_MARK}\nexec {program} git pre-commit\n", 0o755)
    return Installed(attributes, hook)


def remove(repository: Repository) -> None:
    """Takes away what `install` set up."""
    for section in (f"diff.{DRIVER}", f"merge.{DRIVER}"):
        try:
            repository.run("config", "--local", "--remove-section", section)
        except GitFailed:
            continue  # it was not there
    attributes = repository.git_path("info/attributes")
    if os.path.lexists(attributes):
        lines = [line for line in _read(attributes).splitlines() if line != ATTRIBUTES]
        _write(attributes, "".join(f"{line}\n" for line in lines))
    hook = repository.git_path("hooks/pre-commit")
    if os.path.lexists(hook) and _MARK in _read(hook):
        os.unlink(hook)


def _put_line(path: str, line: str) -> None:
    text = _read(path) if os.path.lexists(path) else ""
    if line not in text.splitlines():
        _write(path, text + ("\n" if text and not text.endswith("\n") else "") + line + "\n")


def _read(path: str) -> str:
    """The text of a file of the clone's own; "" for what is none, which is then another's."""
    try:
        return read_plain(path, _MOST).decode("utf-8", "surrogateescape")
    except OSError as error:
        if error.errno in (errno.ELOOP, errno.ENOTDIR, errno.EINVAL):
            return ""
        raise NotOurs(path, error) from error


def _write(path: str, text: str, mode: int = 0o644) -> None:
    """Puts a whole file in place at once, without following a link on the way to it."""
    parent, name = os.path.split(path)
    temporary = f"{name}.{os.getpid()}.new"
    try:
        if not os.path.lexists(parent):
            os.mkdir(parent)
        folder = open_real(parent, os.O_RDONLY | os.O_DIRECTORY)
        try:
            flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
            with open(os.open(temporary, flags, mode, dir_fd=folder), "wb") as file:
                file.write(text.encode("utf-8", "surrogateescape"))
                os.fchmod(file.fileno(), mode)
            os.replace(temporary, name, src_dir_fd=folder, dst_dir_fd=folder)
        finally:
            os.close(folder)
    except OSError as error:
        raise NotOurs(path, error) from error
