"""`envbuild wait`."""

from __future__ import annotations

import argparse

from envbuild.cli.environment import Environment
from envbuild.store.store import Store

DESCRIPTION = "Waits until instances are over and prints their exit codes; its own is that of the last."

EXAMPLES = """\
examples:
  envbuild wait job"""


def configure(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("instance", nargs="+", metavar="INSTANCE", help="names, or ids' first digits")


def run(arguments: argparse.Namespace, environment: Environment) -> int:
    from envbuild.runtime.control import WAIT, NotRunning, ask

    code = 0
    with Store.open(environment.store_path(), create=False) as store:
        for one in [store.instances.find(name) for name in arguments.instance]:
            try:
                (answer,) = ask(one, WAIT)
                code = int(str(answer))
            except NotRunning:
                code = store.instances.state(one).code or 0
            environment.stdout.write(f"{code}\n")
    return code
