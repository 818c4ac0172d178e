"""`envbuild attach`."""

from __future__ import annotations

from envbuild.cli.environment import Environment
from envbuild.instances.records import Instances

TYPE_CHECKING = False
if TYPE_CHECKING:
    import argparse

DESCRIPTION = """\
Go back to an instance. One that has ended is started again in the foreground, with this terminal and the files that it
left. Of one that runs, the output is followed until it ends or Ctrl-C, which leaves it running."""

EXAMPLES = """\
examples:
  envbuild attach web"""


def configure(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("instance", metavar="INSTANCE", help="a name, or the first digits of an id")


def run(arguments: argparse.Namespace, environment: Environment) -> int:
    from envbuild.cli.resume import is_over, resume

    instances = Instances.of(environment.store_path())
    instance = instances.find(arguments.instance)
    if is_over(instances, instance):
        return resume(instance, environment)
    from envbuild.cli.commands import logs

    environment.warn([f"{instance.name} runs; for a shell in it: envbuild shell {instance.name}"], "note")
    arguments.follow, arguments.tail, arguments.timestamps = True, None, False
    return logs.run(arguments, environment)
