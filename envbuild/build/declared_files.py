"""The files that statements about packages name: requirement files with those that they name in turn, a package.json
with its lock, the key of a source."""

from __future__ import annotations

from collections.abc import Callable
from posixpath import dirname, join, normpath

from envbuild.errors import UsageError
from envbuild.plan.step import InstallPackages

Contents = tuple[tuple[str, bytes], ...]
"""(path relative to the recipe's folder, content)."""
MOST_FILES = 500
"""Requirement files that one statement reads, with those that they name in turn."""
NPM_LOCKS = ("npm-shrinkwrap.json", "package-lock.json")
_INCLUDED = rb"(?m)^\s*(?:-r|--requirement|-c|--constraint)(?:\s+|=)(\S+)"
_LOCAL = rb"(?m)^\s*(?:(?:-e|--editable)\b.*|\.{0,2}/\S*|\.)\s*(?:#.*)?$"


class LocalRequirement(UsageError):
    """A requirement file names a folder of this machine."""

    def __init__(self, path: str, line: str) -> None:
        super().__init__(
            f"{path}: '{line}' is a folder, and only packages with a hash can be locked",
            "copy it into the image and install it with: run DIR/bin/python3 -m pip install --no-deps PATH",
        )


def files_of(action: InstallPackages, read: Callable[[str, str], bytes]) -> Contents:
    """The files of a statement; `read` gives the content of one for the option that names it, and raises UsageError
    for one that isn't there or may not be read."""
    found: dict[str, bytes] = {}
    for option, path in action.files:
        what = f"{action.manager} {option}"
        if action.manager == "npm":
            found[f"{path.rstrip('/')}/package.json"] = read(f"{path.rstrip('/')}/package.json", what)
            for name in NPM_LOCKS:
                try:
                    found[f"{path.rstrip('/')}/{name}"] = read(f"{path.rstrip('/')}/{name}", what)
                    break
                except UsageError:
                    continue
        elif action.manager == "pip":
            _read_requirements(path, what, read, found)
        else:
            found[path] = read(path, what)
    return tuple(found.items())


def _read_requirements(path: str, what: str, read: Callable[[str, str], bytes], found: dict[str, bytes]) -> None:
    path = normpath(path)
    if path in found:
        return
    if len(found) == MOST_FILES:
        raise UsageError(f"{what}: the files name more than {MOST_FILES} others", "put them into fewer files")
    found[path] = content = read(path, what)
    import re  # only for a file of requirements

    local = re.search(_LOCAL, content)
    if local is not None:
        raise LocalRequirement(path, local[0].decode(errors="replace").strip())
    for match in re.finditer(_INCLUDED, content):
        other = match[1].decode("utf-8", "surrogateescape")
        if "://" not in other:
            _read_requirements(join(dirname(path), other), what, read, found)
