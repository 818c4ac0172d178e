"""Loads recipes, and remembers what they parsed to.

Parsing takes lark and some 60 ms; a recipe whose files, parameters and language version are as they were is
taken from the store's memo instead.
"""

from __future__ import annotations

import os
import sys

from envbuild import __version__
from envbuild.build.recipe_files import UnreadableFile, check_context, read_recipe
from envbuild.digest import sha256_of
from envbuild.language import model_cache
from envbuild.language.model import Recipe
from envbuild.linux.machine import architecture
from envbuild.record import Pairs
from envbuild.store.store import Store


def load(path: str, settings: Pairs, store: Store, folder: str) -> Recipe:
    """Return the model of the recipe at `path`; it and what it includes have to lie in `folder` (recipe_files.py).

    Raises language.diagnostics.RecipeErrors with all that is wrong.
    """
    named = "\0".join([__version__, sys.version, architecture(), os.path.abspath(path), path, *map(repr, settings)])
    try:
        key = sha256_of(named.encode())
    except UnicodeEncodeError:
        raise UnreadableFile(path, "its path is not UTF-8, and can't be put on record") from None
    remembered = store.memo.get("recipe", key)
    if remembered is not None:
        try:
            recipe = model_cache.load(remembered, fits=lambda file, digest: _digest(file, folder) == digest)
        except ValueError:
            recipe = None  # written by another Python or a damaged row: parse again
        if recipe is not None:
            return recipe
    from envbuild.language.load import load_recipe  # lark: only when there is something to parse

    recipe = load_recipe(
        path,
        dict(settings),
        arch=architecture(),
        read=lambda name: read_recipe(folder, name),
        look=lambda name: check_context(folder, name),
    )
    store.memo.put("recipe", key, model_cache.dump(recipe))
    return recipe


def _digest(path: str, folder: str) -> str:
    try:
        return sha256_of(read_recipe(folder, path))
    except OSError:
        return ""
