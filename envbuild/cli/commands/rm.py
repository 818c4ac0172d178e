"""`envbuild rm`."""

from __future__ import annotations

from envbuild.cli.environment import Environment
from envbuild.cli.user_namespace import enter_for
from envbuild.errors import WorkFailed
from envbuild.instances.records import EXITED, LOST, DamagedInstance, Instance, Instances
from envbuild.store.store import Store

TYPE_CHECKING = False
if TYPE_CHECKING:
    import argparse

DESCRIPTION = "Remove instances that have ended or are damaged, with all that they wrote."

EXAMPLES = """\
examples:
  envbuild rm web
  envbuild rm --force web"""


def configure(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("instance", nargs="+", metavar="INSTANCE", help="names, or the first digits of ids")
    parser.add_argument("--force", "-f", action="store_true", help="stop it first if it runs")


def run(arguments: argparse.Namespace, environment: Environment) -> int:
    from envbuild.instances.control_client import ask
    from envbuild.instances.messages import StopRequest

    with Store.open(environment.store_path(), create=False) as store:
        instances = Instances.of(store.path)
        found = [instances.find_any(name) for name in arguments.instance]
        for instance in found:
            if _runs(instances, instance):
                if not arguments.force:
                    raise WorkFailed(
                        f"{instance.name} is running", f"stop it first: envbuild stop {instance.name}; or rm --force"
                    )
                ask(instance, StopRequest(None))
        # What it wrote belongs to users of its own.
        enter_for(store)
        for instance in found:
            instances.remove(instance)
            environment.stdout.write(f"{instance.name}\n")
    return 0


def _runs(instances: Instances, instance: Instance | DamagedInstance) -> bool:
    if isinstance(instance, DamagedInstance):
        return instances.is_supervised(instance)
    return instances.state(instance).status not in (EXITED, LOST)
