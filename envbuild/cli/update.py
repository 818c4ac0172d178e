"""`envbuild update`."""

from __future__ import annotations

import argparse

from envbuild.cli import build
from envbuild.cli.environment import Environment

DESCRIPTION = """\
Renews what a recipe's lock pins (bases made from this machine or from a mirror, images, fetched files), builds,
and writes the new lock. The lock's diff in git shows what moved."""

EXAMPLES = """\
examples:
  envbuild update web.env
  git diff web.env.lock"""


def configure(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("recipe", metavar="RECIPE", help="the recipe's file, such as web.env")
    build.add_options(parser)


def run(arguments: argparse.Namespace, environment: Environment) -> int:
    return build.build(arguments, environment, locked=False, refresh=True)
