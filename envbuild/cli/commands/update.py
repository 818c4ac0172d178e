"""`envbuild update`."""

from __future__ import annotations

import argparse
import os
import time
from collections.abc import Sequence
from functools import partial
from typing import Any

from envbuild.build.request import Move
from envbuild.cli.build_options import add_options, build, interrupt_on_termination, request_from
from envbuild.cli.environment import Environment
from envbuild.cli.locked_recipes import with_lock_here
from envbuild.cli.recipe_operand import SUFFIX, only_recipe, recipe_path
from envbuild.errors import EnvbuildError, UsageError
from envbuild.linux.forked import call_in_child
from envbuild.record import values
from envbuild.ui.errors import render_error
from envbuild.ui.sanitize import visible
from envbuild.ui.tables import print_moves

DESCRIPTION = """\
Renew what a recipe's lock pins (packages, bases made from this machine or from a mirror, images, fetched files),
build, and write the new lock. With names of packages, only these move, and those that they require to. The diff of
the lock in git shows what moved. Without a recipe, all recipes of the current directory that have a lock are
updated; one that fails does not keep the others from it."""

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
    parser.add_argument("--dry-run", action="store_true", help="only show what would move")
    add_options(parser)


def run(arguments: argparse.Namespace, environment: Environment) -> int:
    recipes, packages = _recipes_and_packages(arguments.words)
    recipes = recipes or _locked_here(packages)
    quiet = arguments.progress == "json"
    if len(recipes) == 1:
        moves = _update(recipes[0], packages, arguments, environment)
        if not quiet:
            print_moves(environment.stdout, moves, colour=environment.colour(environment.stdout))
        return 0
    return _update_all(recipes, packages, arguments, environment, quiet)


def _recipes_and_packages(words: Sequence[str]) -> tuple[list[str], tuple[str, ...]]:
    """Return the recipes and the packages among the words. `web` is the recipe web.env if there is one; beside recipes
    that are named by their files, and with a lock that has such a package, it is the package."""
    files = [word for word in words if word.endswith(SUFFIX) or "/" in word or word == "." or os.path.isfile(word)]
    if files:
        recipes = files
    else:
        locks = [open_text(f"{path}.lock") for path in with_lock_here()]
        recipes = [
            word
            for word in words
            if os.path.isfile(word + SUFFIX) and not any(f'name: "{word}"' in lock for lock in locks)
        ]
    return [recipe_path(word, "update") for word in recipes], tuple(word for word in words if word not in recipes)


def _update_all(
    recipes: Sequence[str],
    packages: tuple[str, ...],
    arguments: argparse.Namespace,
    environment: Environment,
    quiet: bool,
) -> int:
    """Update one recipe after the other, also after one that fails, and say at the end what moved in which."""
    interrupt_on_termination()
    # What the first of them makes of debian:SUITE is for all: that takes long, and the suite may move meanwhile.
    begun = time.time_ns()
    failures: dict[str, EnvbuildError] = {}
    moved: list[Move] = []
    still: list[str] = []
    for recipe in recipes:
        try:
            # A build may enter a user namespace, in which the owners of this machine's files no longer show: the next
            # one would make its base of them.
            plain = call_in_child(partial(_plain_moves, recipe, packages, arguments, environment, begun))
        except EnvbuildError as error:
            failures[recipe] = error
            if not error.reported:
                render_error(error, environment.stderr, environment.colour(environment.stderr))
            continue
        moved += (Move(*fields) for fields in plain)
        if not plain:
            still.append(recipe)
    if not quiet:
        if moved:
            print_moves(environment.stdout, moved, colour=environment.colour(environment.stdout))
        environment.stdout.writelines(f"{visible(recipe)}: nothing moved\n" for recipe in still)
        environment.stdout.writelines(f"{visible(recipe)}: failed, as said above\n" for recipe in failures)
    return max((error.exit_code for error in failures.values()), default=0)


def _update(
    recipe: str,
    packages: tuple[str, ...],
    arguments: argparse.Namespace,
    environment: Environment,
    begun: int | None = None,
) -> tuple[Move, ...]:
    arguments.recipe = recipe
    request = request_from(arguments, environment)
    request = request.replace(refresh=not packages, refreshed=begun, renew=packages, dry_run=arguments.dry_run)
    return build(request, environment, arguments.progress).moves


def _plain_moves(
    recipe: str, packages: tuple[str, ...], arguments: argparse.Namespace, environment: Environment, begun: int
) -> list[tuple[Any, ...]]:
    """Return the fields of each move, in which they can be sent to the parent process."""
    return [values(move) for move in _update(recipe, packages, arguments, environment, begun)]


def _locked_here(packages: tuple[str, ...]) -> list[str]:
    """Return the recipes of this folder that have a lock; if packages are named, those whose lock has all of them."""
    recipes = with_lock_here() or [only_recipe(".", "update")]
    if len(recipes) > 1 and packages:
        texts = {path: open_text(f"{path}.lock") for path in recipes}
        fitting = [path for path in recipes if all(f'name: "{name}' in texts[path] for name in packages)]
        if not fitting:
            raise UsageError(
                f"no lock in this directory has {' and '.join(packages)}", f"there are: {', '.join(texts)}"
            )
        return fitting
    return recipes


def open_text(path: str) -> str:
    from envbuild.build.recipe_files import lock_text

    return lock_text(path)
