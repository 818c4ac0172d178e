"""`envbuild build`."""

from __future__ import annotations

from envbuild.cli.build_options import add_options, build, request_from
from envbuild.cli.environment import Environment

TYPE_CHECKING = False
if TYPE_CHECKING:
    import argparse

DESCRIPTION = """\
Compile a recipe into an image. Only what changed runs; each step is a snapshot. The result is tagged
NAME:latest, and written to RECIPE.lock, which belongs into git."""

EXAMPLES = """\
examples:
  envbuild build web.env
  envbuild build web.env --set python=3.12 --tag web:py312
  envbuild build web.env --locked            in CI: fail if the lock does not hold
  envbuild build web.env --explain           say what changed for each step that runs
  envbuild build web.env --rerun 12          run the step at line 12 again
  envbuild build web.env --secret token=~/.token"""


def configure(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("recipe", metavar="RECIPE", help="the file of the recipe, such as web.env")
    add_options(parser)
    parser.add_argument(
        "--locked", action="store_true", help="fail if a pin of the lock would have to change; the lock is not written"
    )
    # A name of its own, since the value of an option could be the recipe.
    parser.add_argument(
        "--locked=exact", dest="exact", action="store_true", help="fail also if the lock lacks a result of the build"
    )


def run(arguments: argparse.Namespace, environment: Environment) -> int:
    request = request_from(arguments, environment)
    request = request.replace(locked=arguments.locked or arguments.exact, exact=arguments.exact)
    build(request, environment, arguments.progress)
    return 0
