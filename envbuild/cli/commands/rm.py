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

DESCRIPTION = "Removes instances that are over or damaged, with all that they wrote."

EXAMPLES = """\
examples:
  envbuild rm web
  envbuild rm --force web"""


def configure(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("instance", nargs="+", metavar="INSTANCE", help="names, or ids' first digits")
    parser.add_argument("--force", "-f", action="store_true", help="stop it first if it runs")


def run(arguments: argparse.Namespace, environment: Environment) -> int:
    from envbuild.instances.control_client import STOP, ask

    with Store.open(environment.store_path(), create=False) as store:
        found = [store.instances.find_any(one) for one in arguments.instance]
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


def _runs(store: Store, one: Instance | DamagedInstance) -> bool:
    if isinstance(one, DamagedInstance):
        return store.instances.is_supervised(one)
    return store.instances.state(one).status not in (EXITED, LOST)
