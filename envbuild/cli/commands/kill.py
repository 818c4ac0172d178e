"""`envbuild kill`."""

from __future__ import annotations

from envbuild.cli.environment import Environment
from envbuild.errors import BadOption
from envbuild.instances.records import Instances
from envbuild.linux import signals as signal

TYPE_CHECKING = False
if TYPE_CHECKING:
    import argparse

DESCRIPTION = "Send a signal to the command of instances, by default KILL."

EXAMPLES = """\
examples:
  envbuild kill web
  envbuild kill --signal HUP web"""


def configure(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("instance", nargs="+", metavar="INSTANCE", help="names, or the first digits of ids")
    parser.add_argument(
        "--signal", "-s", default="KILL", metavar="SIGNAL", help="send this signal, by name or number (default: KILL)"
    )


def run(arguments: argparse.Namespace, environment: Environment) -> int:
    from envbuild.instances.control_client import PATIENCE, NotAnswering, NotRunning, ask
    from envbuild.instances.init_process import kill_first
    from envbuild.instances.messages import SignalRequest
    from envbuild.linux.signal_names import signal_number

    number = signal_number(arguments.signal)
    if not number:
        raise BadOption("--signal", arguments.signal, "signal", "--signal HUP, --signal 9")
    instances = Instances.of(environment.store_path())
    named = [instances.find(name) for name in arguments.instance]
    for instance in named:
        try:
            ask(instance, SignalRequest(number), seconds=PATIENCE)
        except (NotAnswering, NotRunning):
            # Without its supervisor's help: what the record says is its process 1, if that is still the same.
            if number != signal.SIGKILL or not kill_first(instances.state(instance)):
                raise
        environment.stdout.write(f"{instance.name}\n")
    return 0
