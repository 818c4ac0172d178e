"""The recipes of a repository, and which of them a set of changed files concerns.

`git check`, the hook before a commit and `status` all ask here. A recipe is concerned by its own file and lock, by what
it includes, by all that its statements and those of its includes name of their folders, and by the recipes that it is
built from, with their locks.
"""

from __future__ import annotations

import os
from collections.abc import Collection, Iterable, Iterator

from envbuild.build.context_ignore import IGNORE_FILES
from envbuild.build.loader import recipes_used
from envbuild.build.recipe_cache import load
from envbuild.build.recipe_files import read_recipe
from envbuild.errors import EnvbuildError
from envbuild.language import model
from envbuild.language.base_kinds import ImageFileBase, Tarball
from envbuild.language.parse import parse_all
from envbuild.language.syntax import StatementSyntax
from envbuild.lockfile.lock import path_of
from envbuild.record import Record
from envbuild.store.store import Store

RECIPE = ".env"
"""How the names of recipes end."""
_WILDCARDS = "*?["


class _Reach(Record):
    """What a recipe is made of, as paths in the repository: `files`, `folders` of which everything counts, recipes that
    it `needs`, and files that it `includes`. `whole` is False if it can't be loaded, so that nobody knows."""

    files: frozenset[str] = frozenset()
    folders: frozenset[str] = frozenset()
    needs: tuple[str, ...] = ()
    includes: tuple[str, ...] = ()
    whole: bool = True


class Recipes:
    """The recipes among the files of a real folder, a repository's working tree or a revision of it."""

    def __init__(self, store: Store, folder: str, paths: Iterable[str]) -> None:
        """`paths` are those of the files in `folder` that may be recipes."""
        self._store = store
        self._folder = folder
        self._reach: dict[str, _Reach] = {}
        self._locked: set[str] = set()
        for path in sorted(set(paths)):
            if not path.endswith(RECIPE) or not os.path.lexists(f"{folder}/{path}"):
                continue
            has_lock = os.path.lexists(f"{folder}/{path_of(path)}")
            if has_lock or self._is_recipe(path):
                self._reach[path] = self._reach_of(path)
            if has_lock:
                self._locked.add(path)
        needed = {path for reach in self._reach.values() for path in reach.needs}
        included = {path for reach in self._reach.values() for path in reach.includes}
        # What recipes only include needs no lock of its own.
        self._parts = included - needed - self._locked

    def all(self) -> list[str]:
        """Return the paths of all recipes that have or need a lock, sorted."""
        return [path for path in self._reach if path not in self._parts]

    def concerned(self, changed: Collection[str]) -> list[str]:
        """Return the paths of the recipes whose locks are to be looked at after these files changed, sorted: also those
        that lack one, if they themselves changed or a recipe that is concerned is built from them."""
        files = frozenset(changed)
        recipes = {path for path in self.all() if self._is_concerned(path, files)}
        for path in list(recipes):
            recipes.update(
                needed for needed in self._needs(path) if needed not in self._locked and needed in self._reach
            )
        return sorted(recipes)

    def _is_concerned(self, path: str, changed: frozenset[str]) -> bool:
        if path in changed or path_of(path) in changed:
            return True
        return path in self._locked and any(self._touches(part, changed) for part in (path, *self._needs(path)))

    def _touches(self, path: str, changed: frozenset[str]) -> bool:
        """Return whether something that one recipe is made of is among the changed files."""
        reach = self._reach.get(path, _Reach(whole=False))
        if not changed.isdisjoint((path, path_of(path), *reach.files)):
            return True
        folders = reach.folders if reach.whole else {os.path.dirname(path) or "."}
        if any(_is_in(file, folders) for file in changed):
            return True
        return not reach.whole and any(file.endswith(RECIPE) for file in changed)

    def _needs(self, path: str) -> list[str]:
        """Return the recipes that one is built from, also by way of others."""
        recipes: list[str] = []
        pending = [path]
        while pending:
            reach = self._reach.get(pending.pop())
            new = [needed for needed in (reach.needs if reach is not None else ()) if needed not in (*recipes, path)]
            recipes += new
            pending += new
        return recipes

    def _is_recipe(self, path: str) -> bool:
        """Return whether a file has a `from`, however wrong the rest of it is, or includes one: other tools keep
        variables in .env files."""
        try:
            syntax, _ = parse_all(read_recipe(self._folder, f"{self._folder}/{path}"), path)
            keywords = {item.keyword for item in syntax.items if isinstance(item, StatementSyntax)}
            return "from" in keywords or ("include" in keywords and bool(self._load(path)))
        except (OSError, EnvbuildError):
            return False

    def _load(self, path: str) -> model.Recipe:
        return load(f"{self._folder}/{path}", (), self._store, self._folder)

    def _reach_of(self, path: str) -> _Reach:
        try:
            recipe = self._load(path)
        except EnvbuildError:
            return _Reach(whole=False)
        includes = tuple(self._inner(os.path.realpath(file)) for file, _ in recipe.files[1:])
        needs: list[str] = []
        files = {place for file, _ in recipe.files for place in self._both(file)}
        folders: set[str] = set()
        for stage in recipe.stages:
            needs += (self._inner(os.path.realpath(used)) for used in recipes_used(stage))
            for folder, source in _named(stage):
                for name in IGNORE_FILES:
                    files.update(self._both(f"{folder}/{name}"))
                for place in _places(folder, source, os.path.dirname(recipe.path)):
                    folders.update(self._both(place))
        # A link on the way to a file decides which one it is.
        files.update(above for folder in folders for above in _above(folder))
        return _Reach(frozenset(files), frozenset(folders), tuple(dict.fromkeys(needs)), includes)

    def _both(self, path: str) -> tuple[str, str]:
        """Return a path as the repository has it: as it is named, and without the links on the way."""
        return self._inner(os.path.normpath(path)), self._inner(os.path.realpath(path))

    def _inner(self, path: str) -> str:
        return os.path.relpath(path, self._folder)


def _named(stage: model.Stage) -> Iterator[tuple[str, str]]:
    """Yield what a stage names of the folders of its statements: (folder, path there)."""
    if isinstance(stage.base, (Tarball, ImageFileBase)):
        yield stage.base.folder, stage.base.path
    for statement in stage.statements:
        match statement:
            case model.Copy(origin=None, sources=sources):
                names = sources
            case model.Render(template=template):
                names = (template,)
            case model.Run(options=options) | model.Test(options=options):
                names = tuple(mount.source for mount in options.mounts if mount.origin is None)
            case model.Apt(key=str(key)):
                names = (key,)
            case model.Npm(project=str(project)) | model.OfLock(project=project):
                names = (project,)
            case model.Pip() as pip if pip.requirement_files or pip.constraint_files:
                names = (".",)  # a file of requirements may name others
            case model.Pip(projects=projects) if projects:
                names = tuple(project.partition("[")[0] or "." for project in projects)
            case _:
                continue
        for name in names:
            yield statement.folder, name


def _places(folder: str, source: str, root: str) -> Iterator[str]:
    """Yield the paths at or below which all lies that a statement of `folder` calls `source`. Links may lead to
    elsewhere in its own folder or in the recipe's, `root`."""
    parts = source.strip("/").split("/")
    fixed = next((n for n, part in enumerate(parts) if any(mark in part for mark in _WILDCARDS)), len(parts))
    yield os.path.join(folder, *parts[:fixed])
    if fixed < len(parts) - 1:
        yield folder
        yield root


def _above(path: str) -> Iterator[str]:
    while path := os.path.dirname(path):
        yield path


def _is_in(path: str, folders: Collection[str]) -> bool:
    """Return whether a path is one of these folders, or lies below one."""
    return path in folders or any(above in folders for above in _above(path)) or "." in folders
