"""`envbuild status`."""

from __future__ import annotations

import argparse
import glob
import os

from envbuild.cli.environment import Environment
from envbuild.cli.json_output import add_format, print_json
from envbuild.errors import EnvbuildError, UsageError
from envbuild.git.git_dir import git_dir_of
from envbuild.history.status import Status, status_of
from envbuild.rebase.rebuild import Rebuild, rebuild_in_question
from envbuild.store.store import Store
from envbuild.ui.reports.git_merge import rebuild_lines, rebuild_plain
from envbuild.ui.sanitize import visible

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

DESCRIPTION = """\
Show for each recipe of the git repository (of the directory, outside of one) whether its lock is up to date, whether
the image that the lock names is in the store and the tag points to it, and which of the files that it copies have
changed since. Nothing runs."""

EXAMPLES = """\
examples:
  envbuild status
  envbuild status services/web.env --exit-code      in a script: 1 if something is to be done"""


def configure(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("recipe", nargs="*", metavar="RECIPE", help="recipes (default: all of the repository)")
    parser.add_argument(
        "--exit-code", action="store_true", help="exit with 1 if a recipe is not locked, built and tagged"
    )
    add_format(parser)


def run(arguments: argparse.Namespace, environment: Environment) -> int:
    with Store.open(environment.store_path()) as store:
        for path in arguments.recipe:
            if not os.path.isfile(path):
                raise UsageError(
                    f"there is no recipe {path}", "envbuild status without a name shows the recipes of the repository"
                )
        paths = arguments.recipe or _recipes_here(store, environment)
        states = [status_of(path, store, environment.epoch()) for path in paths]
        rebuilds = {recipe.path: rebuild_in_question(store, recipe) for recipe in states}
    if arguments.format == "json":
        plain = [{**_plain(recipe), "rebuild": _plain_rebuild(rebuilds[recipe.path])} for recipe in states]
        print_json(plain, environment.stdout)
    else:
        for recipe in states:
            environment.stdout.writelines(f"{visible(line)}\n" for line in _lines(recipe))
            rebuild = rebuilds[recipe.path]
            environment.stdout.writelines(f"    {line}\n" for line in (rebuild_lines(rebuild) if rebuild else ()))
    return 1 if arguments.exit_code and not all(recipe.well for recipe in states) else 0


def _recipes_here(store: Store, environment: Environment) -> list[str]:
    """Return the recipes of the repository that this directory lies in; outside of one, and where git is not installed
    or does not read it, those of the directory. Raises UsageError if there is none."""
    where = "in this directory"
    paths = sorted(glob.glob("*.env"))
    if git_dir_of(".") is not None:
        from envbuild.history.status import recipes_of_repository  # git: only in a repository

        try:
            paths, where = recipes_of_repository(store, "."), "in this repository"
        except EnvbuildError as error:
            environment.warn([f"{error.message.splitlines()[0]}: only this directory's recipes are shown"], "note")
    if not paths:
        raise UsageError(f"there is no recipe {where}", "name one, as in: envbuild status services/web.env")
    return paths


def _lines(recipe: Status) -> list[str]:
    if recipe.lock is None:
        first = recipe.error.partition("\n")[0].removeprefix("error: ")
        return [f"{recipe.path}: can't be read: {first}"]
    state = recipe.lock
    lines = [f"{recipe.path}: lock {state.state}"]
    lines += [f"    {reason}" for reason in state.reasons]
    if state.image and not state.proven:
        lines.append("    its steps were not all run in this store: what they give is the lock's own word")
    lines += [f"    {text}" for text in state.changed if not any(text in reason for reason in state.reasons)]
    if state.lock is not None and not recipe.image:
        lines.append("    its image is not known until a build")
        return lines
    if state.lock is not None:
        lines.append(f"    image {recipe.image[:12]} {'is in the store' if recipe.in_store else 'is not in the store'}")
    if recipe.at_tag:
        lines.append(f"    {recipe.tag} names it")
    else:
        lines.append(
            f"    {recipe.tag} {f'names another image, {recipe.tagged[:12]}' if recipe.tagged else 'does not exist'}"
        )
    return lines


def _plain_rebuild(rebuild: Rebuild | None) -> dict[str, Any] | None:
    return rebuild_plain(rebuild) if rebuild is not None else None


def _plain(recipe: Status) -> dict[str, Any]:
    state = recipe.lock
    return {
        "recipe": recipe.path,
        "lock": state.state if state is not None else "unreadable",
        "reasons": list(state.reasons) if state is not None else [recipe.error],
        "changed": list(state.changed) if state is not None else [],
        "proven": state is not None and state.proven,
        "image": f"sha256:{recipe.image}" if recipe.image else None,
        "in_store": recipe.in_store,
        "tag": recipe.tag,
        "tagged": f"sha256:{recipe.tagged}" if recipe.tagged else None,
        "well": recipe.well,
    }
