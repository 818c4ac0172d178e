"""The recipes of the current directory that have a lock, for commands that take all of them if none is named."""

from __future__ import annotations

import glob
import os

from envbuild.errors import UsageError


def locked_here(command: str) -> list[str]:
    """Return the recipes of this directory that have a lock. Raises UsageError if there are none."""
    recipes = with_lock_here()
    if not recipes:
        raise UsageError(
            "there is no recipe with a lock in this directory", f"name one, as in: envbuild {command} web.env"
        )
    return recipes


def with_lock_here() -> list[str]:
    """Return the recipes of this directory that have a lock, if any."""
    return sorted(path.removesuffix(".lock") for path in glob.glob("*.lock") if os.path.isfile(path[: -len(".lock")]))
