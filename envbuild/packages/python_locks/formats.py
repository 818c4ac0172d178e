"""Which files are lock files of other tools, and what reads each."""

from __future__ import annotations

import re
from collections.abc import Callable
from posixpath import dirname, join, relpath

from envbuild.packages.manager import Contents
from envbuild.packages.python_locks.document import Table, read_json, read_toml
from envbuild.packages.python_locks.pinned import Choice, Pinned, TargetPython, normal_names
from envbuild.packages.python_locks.pipfile import read_pipfile_lock
from envbuild.packages.python_locks.poetry import read_poetry_lock
from envbuild.packages.python_locks.pylock import read_pylock
from envbuild.packages.python_locks.uv_lock import read_uv_lock
from envbuild.packages.python_names import lock_kind
from envbuild.packages.python_project import folder_and_extras
from envbuild.plan.step import PROJECT, InstallPackages

Reader = Callable[[str, bytes, Table | None, Choice, TargetPython], list[Pinned]]

_OF_POETRY_1 = re.compile(rb'^lock-version = "(?:1\.[01]|2\.0)"', re.MULTILINE)
_OPTIONS = ("extra", "group", "without")
_READERS: dict[str, Reader] = {
    "uv": read_uv_lock,
    "pylock": read_pylock,
    "poetry": read_poetry_lock,
    "pipfile": read_pipfile_lock,
}


def choice_of(action: InstallPackages, lock: str) -> Choice:
    """Return the extras and groups that a statement chooses of a lock file, and the directories beside it that are
    built and installed from their sources."""
    named = {kind: [value for option, value in action.options if option == kind] for kind in _OPTIONS}
    folders = set()
    for option, word in action.files:
        if option == PROJECT:
            folder, named_extras = folder_and_extras(word)
            folders.add(relpath(folder, dirname(lock) or "."))
            named["extra"] += named_extras if relpath(folder, dirname(lock) or ".") == "." else ()
    extras, groups, without = (normal_names(named[kind]) for kind in _OPTIONS)
    return Choice(extras, groups, without, frozenset(folders))


def read_lock_file(path: str, contents: dict[str, bytes], choice: Choice, target: TargetPython) -> list[Pinned]:
    """Return what a lock file pins for a Python; `contents` are the statement's files. Raises UnusableLockFile."""
    beside = join(dirname(path), "pyproject.toml")
    project = read_json(beside, contents[beside]) if beside in contents else None
    return _READERS[lock_kind(path)](path, contents[path], project, choice, target)


def needs_project(path: str, content: bytes) -> bool:
    """Return whether only the dependencies in the pyproject.toml beside a lock file say which of it is wanted: whether
    it is one of Poetry 1."""
    return lock_kind(path) == "poetry" and _OF_POETRY_1.search(content) is not None


def addresses_in_lock_files(contents: Contents) -> list[str]:
    """Return the addresses of those distributions that lock files among these have in no index. Raises
    UnusableLockFile."""
    return [address for path, content in contents if lock_kind(path) for address in _addresses_in(path, content)]


def _addresses_in(path: str, content: bytes) -> list[str]:
    kind = lock_kind(path)
    if kind == "pipfile":
        lock = read_json(path, content)
        tables = [lock.table(group).table(name) for group in lock.names() for name in lock.table(group).names()]
        return [table.text("file") for table in tables if "://" in table.text("file")]
    lock = read_toml(path, content)
    addresses = []
    for package in lock.packages("packages" if kind == "pylock" else "package"):
        source = package.table("archive" if kind == "pylock" else "source")
        if kind != "poetry" or source.text("type") == "url":
            addresses.append(source.text("url").partition("#")[0])
    return [address for address in addresses if address]
