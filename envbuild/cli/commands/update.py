"""`envbuild update`."""

from __future__ import annotations

import argparse
import glob
import os

from envbuild.cli.commands import build
from envbuild.cli.environment import Environment
from envbuild.errors import UsageError

DESCRIPTION = """\
Renews what a recipe's lock pins (packages, bases made from this machine or from a mirror, images, fetched files),
builds, and writes the new lock. With names of packages only these move, and what they force. The lock's diff in git
shows what moved. Without a recipe it means those of the current folder that have a lock."""

EXAMPLES = """\
examples:
  envbuild update web.env                    everything
  envbuild update nginx flask                only these, and what they force
  envbuild update --dry-run                  show what would move
  git diff web.env.lock"""


def configure(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "words",
        metavar="RECIPE|PACKAGE",
        nargs="*",
        help="recipes (files, such as web.env) and names of packages, in any order",
    )
    parser.add_argument("--dry-run", action="store_true", help="only show which packages would move")
    build.add_options(parser)


def run(arguments: argparse.Namespace, environment: Environment) -> int:
    recipes = [word for word in arguments.words if word.endswith(".env") or "/" in word or os.path.isfile(word)]
    packages = tuple(word for word in arguments.words if word not in recipes)
    recipes = recipes or _locked_here(packages)
    for recipe in recipes:
        arguments.recipe = recipe
        status = build.build(
            arguments,
            environment,
            locked=False,
            refresh=not packages,
            renew=packages,
            dry_run=arguments.dry_run,
            show_moves=True,
        )
        if status:
            return status
    return 0


def _locked_here(packages: tuple[str, ...]) -> list[str]:
    """The recipes of this folder that have a lock; if packages are named, those whose lock has all of them."""
    found = sorted(path.removesuffix(".lock") for path in glob.glob("*.lock") if os.path.isfile(path[: -len(".lock")]))
    if not found:
        raise UsageError("no recipe with a lock lies in this folder", "name one, as in: envbuild update web.env")
    if len(found) > 1 and packages:
        texts = {path: open_text(f"{path}.lock") for path in found}
        fitting = [path for path in found if all(f'name: "{name}' in texts[path] for name in packages)]
        if not fitting:
            raise UsageError(f"no lock in this folder has {' and '.join(packages)}", f"there are: {', '.join(texts)}")
        return fitting
    return found


def open_text(path: str) -> str:
    from envbuild.build.recipe_files import lock_text

    return lock_text(path)
