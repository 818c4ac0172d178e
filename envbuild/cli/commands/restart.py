"""`envbuild restart`."""

from __future__ import annotations

from envbuild.cli.commands import start
from envbuild.cli.environment import Environment
from envbuild.instances.records import Instances

TYPE_CHECKING = False
if TYPE_CHECKING:
    import argparse

DESCRIPTION = "Stop instances if they run, and start them again in the background, with the files that they left."

EXAMPLES = """\
examples:
  envbuild restart web
  envbuild restart --time 60 db"""


def configure(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("instance", nargs="+", metavar="INSTANCE", help="names, or the first digits of ids")
    parser.add_argument(
        "--time", "-t", type=float, metavar="SECONDS", help="wait this long before killing the command (default: 10)"
    )


def run(arguments: argparse.Namespace, environment: Environment) -> int:
    from envbuild.instances.control_client import NotRunning, ask
    from envbuild.instances.messages import StopRequest

    instances = Instances.of(environment.store_path())
    for instance in [instances.find(name) for name in arguments.instance]:
        try:
            ask(instance, StopRequest(arguments.time))
        except NotRunning:
            continue  # it has ended already
    arguments.attach = arguments.interactive = arguments.lost = False
    return start.run(arguments, environment)
