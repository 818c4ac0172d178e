"""`envbuild start`."""

from __future__ import annotations

import argparse

from envbuild.cli.environment import Environment
from envbuild.store.store import Store

DESCRIPTION = "Starts instances again that are over, in the background, with the files as they left them."

EXAMPLES = """\
examples:
  envbuild start web"""


def configure(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("instance", nargs="+", metavar="INSTANCE", help="names, or ids' first digits")


def run(arguments: argparse.Namespace, environment: Environment) -> int:
    from envbuild.runtime.background import start_in_background

    with Store.open(environment.store_path(), create=False) as store:
        found = [store.instances.find(one) for one in arguments.instance]
    for one in found:
        start_in_background(one, environment.store_path())
        environment.stdout.write(f"{one.name}\n")
    return 0
