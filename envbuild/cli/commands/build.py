"""`envbuild build`."""

from __future__ import annotations

from envbuild.cli.build_options import add_options, add_vendor, build, places_of, request_from
from envbuild.cli.cache_options import add_cache_options, shared_caches
from envbuild.cli.environment import Environment
from envbuild.cli.key_options import add_sign, signing_key
from envbuild.cli.recipe_operand import recipe_of_file_option, recipe_path
from envbuild.errors import UsageError

TYPE_CHECKING = False
if TYPE_CHECKING:
    import argparse

    from envbuild.build.unchanged import Watcher

DESCRIPTION = """\
Compile a recipe into an image. Only what changed runs; each step is a snapshot. The result is tagged
NAME:latest, and written to RECIPE.lock, which belongs into git."""

EXAMPLES = """\
examples:
  envbuild build                             the recipe of this directory
  envbuild build web                         web.env
  envbuild build web.env --set python=3.12 --tag web:py312
  envbuild build web.env --locked            in CI: fail if the lock does not hold
  envbuild build web.env --explain           say what changed for each step that runs
  envbuild build web.env --rerun 12          run the step at line 12 again
  envbuild build web.env --offline --vendor vendored    without the network
  envbuild build web.env --cache-from HOST/team/cache   run nothing that somebody ran already
  envbuild build web.env --sign              sign it with your key (envbuild key generate)
  envbuild build web.env --secret token=~/.token"""


def configure(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "recipe",
        nargs="?",
        metavar="RECIPE",
        help="the file of the recipe, with or without .env, or its directory (default: the only one of this directory)",
    )
    parser.add_argument("-f", "--file", metavar="RECIPE", help="the file of the recipe, as docker has it")
    add_options(parser)
    parser.add_argument(
        "--locked", action="store_true", help="fail if a pin of the lock would have to change; the lock is not written"
    )
    # A name of its own, since the value of an option could be the recipe.
    parser.add_argument(
        "--locked=exact", dest="exact", action="store_true", help="fail also if the lock lacks a result of the build"
    )
    parser.add_argument(
        "--offline", action="store_true", help="use no network; fail before anything runs if it would be needed"
    )
    add_vendor(parser)
    add_sign(parser)
    add_cache_options(parser)


def run(arguments: argparse.Namespace, environment: Environment) -> int:
    web = [word for word in arguments.vendor if word.startswith(("http://", "https://"))]
    if arguments.offline and web:
        raise UsageError(f"--offline and --vendor {web[0]}: that is on the network", "leave out one of the two")
    word = arguments.recipe
    if arguments.file is None:
        arguments.recipe = recipe_path(arguments.recipe, "build")
    else:
        arguments.recipe = recipe_of_file_option(arguments.file, arguments.recipe)
    key = signing_key(arguments, environment)  # before anything runs: it may not be there, or have a password
    request = request_from(arguments, environment).replace(
        locked=arguments.locked or arguments.exact,
        exact=arguments.exact,
        offline=arguments.offline,
        places=places_of(arguments.vendor, environment),
        key=key,
        **shared_caches(arguments, environment),
    )
    build(request, environment, arguments.progress, lambda watcher: _note(watcher, word, arguments, environment))
    return 0


def _note(watcher: Watcher, word: str | None, arguments: argparse.Namespace, environment: Environment) -> None:
    """Note a build that found all as it was; `word` is how the recipe was named."""
    if arguments.question is not None and arguments.file is None and watcher.job is not None and watcher.events:
        from envbuild.build.unchanged_note import keep_note  # only where nothing ran

        keep_note(arguments.question, watcher, word, environment.settings_files(), arguments.progress)
