"""`envbuild stop`."""

from __future__ import annotations

from envbuild.cli.environment import Environment
from envbuild.instances.records import Instances

TYPE_CHECKING = False
if TYPE_CHECKING:
    import argparse

DESCRIPTION = """\
Ends instances: their command gets the image's stop signal, and if it has not gone in time is killed with all that it
started."""

EXAMPLES = """\
examples:
  envbuild stop web
  envbuild stop --time 60 db"""


def configure(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("instance", nargs="+", metavar="INSTANCE", help="names, or ids' first digits")
    parser.add_argument("--time", "-t", type=float, metavar="SECONDS", help="how long to wait (default 10)")


def run(arguments: argparse.Namespace, environment: Environment) -> int:
    from envbuild.instances.control_client import STOP, NotRunning, ask

    instances = Instances.of(environment.store_path())
    found = [instances.find(one) for one in arguments.instance]
    for one in found:
        try:
            ask(one, STOP, (arguments.time,))
        except NotRunning:
            continue  # as it should be
        finally:
            environment.stdout.write(f"{one.name}\n")
    return 0
