"""The tools whose lock files statements take as they are: what a user runs to have another version in one."""

from __future__ import annotations

from envbuild.packages.manager import BUILD, IN_PROJECT, Contents
from envbuild.packages.plain_names import plain_name
from envbuild.packages.python_names import lock_kind

TYPE_CHECKING = False
if TYPE_CHECKING:
    from envbuild.lockfile.lock import Package

_OF_PYTHON = {
    "uv": "uv lock --upgrade-package {name}",
    "poetry": "poetry update {name}",
    "pipfile": "pipenv upgrade {name}",
    "pylock": "",
}
_BY_NAME = {
    "npm-shrinkwrap.json": "npm update {name}",
    "package-lock.json": "npm update {name}",
    "pnpm-lock.yaml": "pnpm update {name}",
    "yarn.lock": "yarn upgrade {name}",
    "Cargo.lock": "cargo update {name}",
    "go.sum": "go get {name}",
    "lockfile.json": "mvn io.github.chains-project:maven-lockfile:generate",
}


def renewal_of(contents: Contents, package: Package) -> str:
    """Return how a package is moved that a lock file among a statement's files names: the file, and the command of its
    tool where that is known. "" where no such file says which package is meant, but envbuild's own lock."""
    if package.origin.startswith(BUILD):
        return ""  # what building takes, no such file names
    for path, _ in contents:
        if path.startswith(IN_PROJECT):
            continue
        kind = lock_kind(path)
        form = _OF_PYTHON[kind] if kind else _BY_NAME.get(path.rpartition("/")[2])
        if form is not None:
            command = form.format(name=plain_name(package.name))
            return f"{path} with the tool that writes it" + (f": {command}" if command else "")
    return ""
