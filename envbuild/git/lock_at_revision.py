"""The lock of a recipe in another revision: what `git:REV:web.env` and `web@REV` mean."""

from __future__ import annotations

import os

from envbuild.errors import UsageError, fields
from envbuild.git.repository import NotAFile, NotInRevision, Repository
from envbuild.lockfile.lock import Lock, path_of
from envbuild.lockfile.lock_file import parse
from envbuild.record import Record

GIT = "git:"
_SUFFIX = ".env.lock"


class LockedRecipe(Record):
    """A recipe in a commit: its path in the repository, the commit's hash, the lock and its text, and the text of the
    recipe (of the file itself, not of those that it includes)."""

    path: str
    commit: str
    lock: Lock
    text: str
    recipe: str


@fields
class ManyRecipes(UsageError):
    """A revision has several recipes of one name."""

    name: str
    revision: str
    paths: list[str]

    def text(self) -> tuple[str, str]:
        forms = ", ".join(f"{GIT}{self.revision}:/{path.removesuffix('.lock')}" for path in self.paths[:5])
        return f"{self.revision} has {len(self.paths)} recipes named '{self.name}'", f"name one: {forms}"


@fields
class NoLockOf(UsageError):
    """A revision has no lock for a recipe of this name."""

    name: str
    revision: str

    def text(self) -> tuple[str, str]:
        return (
            f"{self.revision} has no lock for a recipe named '{self.name}'",
            f"name its file, as in {GIT}{self.revision}:{self.name}.env; "
            "`envbuild build` writes the lock, and git keeps it",
        )


def locked_at(folder: str, revision: str, path: str) -> LockedRecipe:
    """Return the lock of FILE in `git:REV:FILE`. FILE is relative to `folder`, or with a leading slash to the
    repository.

    Raises NoRepository, NoSuchRevision, NotInRevision and BadLock.
    """
    repository = Repository(folder)
    inner = path.lstrip("/") if path.startswith("/") else repository.path_of(os.path.join(folder, path))
    inner = os.path.normpath(inner).removesuffix(".lock")
    commit = repository.commit_of(revision)
    return _locked(repository, revision, commit, inner)


def locked_by_name(folder: str, revision: str, name: str) -> LockedRecipe:
    """Return the lock of the recipe named `name` in a revision: the one in `folder`, else the only one of this name.

    Raises NoRepository, NoSuchRevision, ManyRecipes, NoLockOf and BadLock.
    """
    repository = Repository(folder)
    commit = repository.commit_of(revision)
    paths = [path for path in repository.files(commit, _SUFFIX) if os.path.basename(path) == f"{name}{_SUFFIX}"]
    here = repository.path_of(os.path.join(folder, f"{name}{_SUFFIX}"))
    if here in paths:
        paths = [here]
    if not paths:
        raise NoLockOf(name, revision)
    if len(paths) > 1:
        raise ManyRecipes(name, revision, paths)
    return _locked(repository, revision, commit, paths[0].removesuffix(".lock"))


def _locked(repository: Repository, revision: str, commit: str, path: str) -> LockedRecipe:
    lock_path = path_of(path)
    try:
        text = repository.read(commit, lock_path, revision).decode("utf-8", "replace")
    except NotInRevision as error:
        error.hint = f"commit the recipe's lock together with it; {error.hint}"
        raise
    try:
        recipe = repository.read(commit, path, revision).decode("utf-8", "replace")
    except (NotInRevision, NotAFile):
        recipe = ""
    return LockedRecipe(path, commit, parse(text, f"{revision}:{lock_path}"), text, recipe)
