"""Recipes of a commit that have no lock. Other tools keep variables in .env files, and a file that recipes include
needs no lock of its own: neither is one of them."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator

from envbuild.build.recipe_cache import load
from envbuild.build.recipe_files import read_recipe
from envbuild.errors import EnvbuildError
from envbuild.language.parse import parse_all
from envbuild.language.syntax import StatementSyntax
from envbuild.lockfile.lock import path_of
from envbuild.store.store import Store


def unlocked_recipes(store: Store, folder: str, paths: Iterable[str], changed: Iterable[str]) -> Iterator[str]:
    """Yield those of `paths` (below the real directory `folder`) that are recipes without a lock and changed, or whose
    lock was removed."""
    names = sorted(paths)
    touched = set(changed)
    candidates = [
        path
        for path in names
        if (path in touched or path_of(path) in touched)
        and os.path.lexists(f"{folder}/{path}")
        and not os.path.lexists(f"{folder}/{path_of(path)}")
        and _is_recipe(store, folder, path)
    ]
    if not candidates:
        return
    included = set(_included(store, folder, names))
    yield from (path for path in candidates if path not in included)


def _is_recipe(store: Store, folder: str, path: str) -> bool:
    """Return whether a file has a `from`, however wrong the rest of it is, or includes one."""
    try:
        syntax, _ = parse_all(read_recipe(folder, f"{folder}/{path}"), path)
        keywords = {item.keyword for item in syntax.items if isinstance(item, StatementSyntax)}
        return "from" in keywords or ("include" in keywords and bool(load(f"{folder}/{path}", (), store, folder)))
    except (OSError, EnvbuildError):
        return False


def _included(store: Store, folder: str, paths: Iterable[str]) -> Iterator[str]:
    for path in paths:
        try:
            recipe = load(f"{folder}/{path}", (), store, folder)
        except EnvbuildError:
            continue  # it is no recipe, or is reported itself
        for file, _ in recipe.files[1:]:
            yield os.path.relpath(os.path.realpath(file), folder)
