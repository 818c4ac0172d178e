"""`envbuild wait`."""

from __future__ import annotations

import argparse
import signal

from envbuild.cli.environment import Environment
from envbuild.instances.records import LOST, Instances

DESCRIPTION = "Wait until instances end, and print their exit codes; exit with that of the last."

EXAMPLES = """\
examples:
  envbuild wait job"""


def configure(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("instance", nargs="+", metavar="INSTANCE", help="names, or the first digits of ids")


def run(arguments: argparse.Namespace, environment: Environment) -> int:
    from envbuild.instances.control_client import NotRunning, ask
    from envbuild.instances.messages import WaitRequest

    code = 0
    instances = Instances.of(environment.store_path())
    for instance in [instances.find(name) for name in arguments.instance]:
        try:
            code = ask(instance, WaitRequest())
        except NotRunning:
            state = instances.state(instance)
            # What was lost was killed with its supervisor, or by the machine's end.
            code = 128 + signal.SIGKILL if state.status == LOST else state.code or 0
        environment.stdout.write(f"{code}\n")
        environment.stdout.flush()
    return code
