"""`envbuild restart`."""

from __future__ import annotations

from envbuild.cli.commands import start, stop
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
    stop.configure(parser)


def run(arguments: argparse.Namespace, environment: Environment) -> int:
    from envbuild.instances.control_client import stop as end

    instances = Instances.of(environment.store_path())
    for instance in [instances.find(name) for name in arguments.instance]:
        end(instance, arguments.time)
    arguments.attach = arguments.interactive = arguments.lost = False
    return start.run(arguments, environment)
