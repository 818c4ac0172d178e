"""`envbuild untag`."""

from __future__ import annotations

import argparse

from envbuild.cli.environment import Environment
from envbuild.store.images import split_name
from envbuild.store.store import Store

DESCRIPTION = "Takes a name away from its image. The image stays until `envbuild gc` finds that nothing needs it."

EXAMPLES = """\
examples:
  envbuild untag web:old"""


def configure(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("name", nargs="+", metavar="NAME[:TAG]", help="the names to take away")


def run(arguments: argparse.Namespace, environment: Environment) -> int:
    with Store.open(environment.store_path(), create=False) as store:
        for reference in arguments.name:
            store.images.remove(*split_name(reference))
    return 0
