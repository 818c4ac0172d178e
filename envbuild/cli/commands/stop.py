"""`envbuild stop`."""

from __future__ import annotations

from envbuild.cli.environment import Environment
from envbuild.instances.records import Instances

TYPE_CHECKING = False
if TYPE_CHECKING:
    import argparse

DESCRIPTION = """\
Stop instances: their command gets the image's stop signal. If it does not end in time, it is killed with all
processes that it started."""

EXAMPLES = """\
examples:
  envbuild stop web
  envbuild stop --time 60 db"""


def configure(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("instance", nargs="+", metavar="INSTANCE", help="names, or the first digits of ids")
    parser.add_argument(
        "--time", "-t", type=float, metavar="SECONDS", help="wait this long before killing the command (default: 10)"
    )


def run(arguments: argparse.Namespace, environment: Environment) -> int:
    from envbuild.instances.control_client import stop

    instances = Instances.of(environment.store_path())
    for instance in [instances.find(name) for name in arguments.instance]:
        try:
            stop(instance, arguments.time)
        finally:
            environment.stdout.write(f"{instance.name}\n")
    return 0
