"""`envbuild rm`."""

from __future__ import annotations

from envbuild.cli.environment import Environment
from envbuild.cli.user_namespace import enter_for
from envbuild.errors import WorkFailed
from envbuild.instances.records import EXITED, LOST, DamagedInstance, Instance, Instances, own_volumes_of
from envbuild.store.store import Store

TYPE_CHECKING = False
if TYPE_CHECKING:
    import argparse

DESCRIPTION = """\
Remove instances that have ended or are damaged, with all that they wrote. Volumes stay, unless --volumes is given: then
those that were made for the instance alone, since its image declares them, are removed, too."""

EXAMPLES = """\
examples:
  envbuild rm web
  envbuild rm --force web
  envbuild rm --volumes db"""


def configure(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("instance", nargs="+", metavar="INSTANCE", help="names, or the first digits of ids")
    parser.add_argument("--force", "-f", action="store_true", help="stop it first if it runs")
    parser.add_argument(
        "--volumes", "-v", action="store_true", help="remove the volumes that were made for it, with their data"
    )


def run(arguments: argparse.Namespace, environment: Environment) -> int:
    from envbuild.instances.control_client import ask
    from envbuild.instances.messages import StopRequest

    with Store.open(environment.store_path(), create=False) as store:
        instances = Instances.of(store.path)
        chosen = [instances.find_any(name) for name in arguments.instance]
        for instance in chosen:
            if _runs(instances, instance):
                if not arguments.force:
                    raise WorkFailed(
                        f"{instance.name} is running", f"stop it first: envbuild stop {instance.name}; or rm --force"
                    )
                ask(instance, StopRequest(None))
        # What it wrote belongs to users of its own.
        enter_for(store)
        for instance in chosen:
            instances.remove(instance)
            environment.stdout.write(f"{instance.name}\n")
        _own_volumes(store, chosen, arguments, environment)
    return 0


def _own_volumes(
    store: Store, removed: list[Instance | DamagedInstance], arguments: argparse.Namespace, environment: Environment
) -> None:
    """Remove the volumes that were made for instances that are gone, or say that they stay."""
    names = [
        name
        for instance in removed
        if isinstance(instance, Instance) and not instance.temporary
        for name in own_volumes_of(instance)
    ]
    if not names:
        return
    from envbuild.instances.volume_users import users_of_volumes
    from envbuild.instances.volumes import Volumes

    volumes, users = Volumes.of(store), users_of_volumes(store)
    for name in names:
        volume = volumes.get(name)
        if volume is None:
            continue
        if arguments.volumes and name not in users:
            volumes.remove(volume)
            continue
        used = f": {users[name][0].instance.name} uses it" if name in users else f"; envbuild volume rm {name}"
        environment.warn([f"the volume {name} stays{used}"], "note")


def _runs(instances: Instances, instance: Instance | DamagedInstance) -> bool:
    if isinstance(instance, DamagedInstance):
        return instances.is_supervised(instance)
    return instances.state(instance).status not in (EXITED, LOST)
