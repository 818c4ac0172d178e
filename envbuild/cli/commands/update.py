"""`envbuild update`."""

from __future__ import annotations

import argparse
import glob
import os

from envbuild.cli.build_options import add_options, build, request_from
from envbuild.cli.environment import Environment
from envbuild.errors import UsageError
from envbuild.ui.tables import print_moves

DESCRIPTION = """\
Renew what a recipe's lock pins (packages, bases made from this machine or from a mirror, images, fetched files),
build, and write the new lock. With names of packages, only these move, and those that they require to. The diff of
the lock in git shows what moved. Without a recipe, all recipes of the current directory that have a lock are
updated."""

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
    add_options(parser)


def run(arguments: argparse.Namespace, environment: Environment) -> int:
    recipes = [word for word in arguments.words if word.endswith(".env") or "/" in word or os.path.isfile(word)]
    packages = tuple(word for word in arguments.words if word not in recipes)
    recipes = recipes or _locked_here(packages)
    for recipe in recipes:
        arguments.recipe = recipe
        request = request_from(arguments, environment)
        request = request.replace(refresh=not packages, renew=packages, dry_run=arguments.dry_run)
        result = build(request, environment, arguments.progress)
        if arguments.progress != "json":
            print_moves(environment.stdout, result.moves)
    return 0


def _locked_here(packages: tuple[str, ...]) -> list[str]:
    """Return the recipes of this folder that have a lock; if packages are named, those whose lock has all of them."""
    found = sorted(path.removesuffix(".lock") for path in glob.glob("*.lock") if os.path.isfile(path[: -len(".lock")]))
    if not found:
        raise UsageError("there is no recipe with a lock in this directory", "name one, as in: envbuild update web.env")
    if len(found) > 1 and packages:
        texts = {path: open_text(f"{path}.lock") for path in found}
        fitting = [path for path in found if all(f'name: "{name}' in texts[path] for name in packages)]
        if not fitting:
            raise UsageError(
                f"no lock in this directory has {' and '.join(packages)}", f"there are: {', '.join(texts)}"
            )
        return fitting
    return found


def open_text(path: str) -> str:
    from envbuild.build.recipe_files import lock_text

    return lock_text(path)
