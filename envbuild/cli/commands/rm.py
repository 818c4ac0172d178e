"""`envbuild rm`."""

from __future__ import annotations

from envbuild.cli.environment import Environment
from envbuild.cli.user_namespace import enter_for
from envbuild.errors import WorkFailed
from envbuild.instances.records import EXITED, LOST, DamagedInstance, Instance
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
    from envbuild.instances.control_client import STOP, ask

    with Store.open(environment.store_path(), create=False) as store:
        found = [store.instances.find_any(name) for name in arguments.instance]
        for one in found:
            if _runs(store, one):
                if not arguments.force:
                    raise WorkFailed(
                        f"{one.name} is running", f"stop it first: envbuild stop {one.name}; or rm --force"
                    )
                ask(one, STOP, (None,))
        # What it wrote belongs to users of its own.
        enter_for(store)
        for one in found:
            store.instances.remove(one)
            environment.stdout.write(f"{one.name}\n")
    return 0


def _runs(store: Store, instance: Instance | DamagedInstance) -> bool:
    if isinstance(instance, DamagedInstance):
        return store.instances.is_supervised(instance)
    return store.instances.state(instance).status not in (EXITED, LOST)
