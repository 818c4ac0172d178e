"""`envbuild volume`."""

from __future__ import annotations

import argparse
import time

from envbuild.cli.environment import Environment
from envbuild.cli.json_output import add_format, print_json
from envbuild.cli.user_namespace import enter_for, with_rights
from envbuild.instances.volumes import Volume, Volumes
from envbuild.store.store import Store
from envbuild.text.dates import iso
from envbuild.text.sizes import format_size
from envbuild.ui.humanize import ago
from envbuild.ui.tables import table

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from envbuild.instances.volume_users import User

DESCRIPTION = """\
Manage named volumes: directories of data that outlive the instances that use them. `run -v NAME:DIR` creates a
volume if needed, with what the image has in DIR. Only `volume rm` removes a volume."""

EXAMPLES = """\
examples:
  envbuild volume ls
  envbuild volume show data
  envbuild volume rm data"""


def configure(parser: argparse.ArgumentParser) -> None:
    commands = parser.add_subparsers(dest="action", required=True, metavar="ls|show|create|rm")
    listing = commands.add_parser("ls", help="list the volumes")
    add_format(listing)
    show = commands.add_parser("show", help="show the path of a volume, and which instances use it")
    show.add_argument("name", metavar="VOLUME")
    add_format(show)
    create = commands.add_parser("create", help="create an empty volume")
    create.add_argument("name", metavar="NAME")
    remove = commands.add_parser("rm", help="remove volumes with their data")
    remove.add_argument("name", metavar="VOLUME", nargs="+")
    remove.add_argument(
        "--force", "-f", action="store_true", help="remove volumes that only stopped instances use, too"
    )


def run(arguments: argparse.Namespace, environment: Environment) -> int:
    action = {"ls": _list, "show": _show, "create": _create, "rm": _remove}[arguments.action]
    with Store.open(environment.store_path(), create=arguments.action in ("create", "ls")) as store:
        action(store, arguments, environment)
    return 0


def _list(store: Store, arguments: argparse.Namespace, environment: Environment) -> None:
    from envbuild.instances.volume_users import users_of_volumes

    users = users_of_volumes(store)
    volumes = with_rights(store, lambda: [(volume, _size(volume)) for volume in Volumes.of(store).all()])
    if arguments.format == "json":
        print_json([_plain(volume, count, users.get(volume.name, [])) for volume, count in volumes], environment.stdout)
        return
    rows = [
        (volume.name, format_size(count), ago(volume.made, time.time()), _names(users.get(volume.name, [])))
        for volume, count in volumes
    ]
    table(("VOLUME", "ON DISK", "MADE", "USED BY"), rows, stream=environment.stdout, right=(1,))


def _show(store: Store, arguments: argparse.Namespace, environment: Environment) -> None:
    from envbuild.instances.volume_users import users_of_volumes

    volume = Volumes.of(store).find(arguments.name)
    users = users_of_volumes(store).get(volume.name, [])
    count = with_rights(store, lambda: _size(volume))
    if arguments.format == "json":
        print_json(_plain(volume, count, users), environment.stdout)
        return
    rows = [
        ("volume", volume.name),
        ("path", volume.path),
        ("on disk", format_size(count)),
        ("made", ago(volume.made, time.time())),
    ]
    rows += [("used by", f"{user.instance.name} at {user.target}{'' if user.running else ', over'}") for user in users]
    table(("", ""), rows, stream=environment.stdout)


def _create(store: Store, arguments: argparse.Namespace, environment: Environment) -> None:
    store.share()
    enter_for(store)  # it is to belong to root inside
    environment.stdout.write(f"{Volumes.of(store).create(arguments.name).name}\n")


def _remove(store: Store, arguments: argparse.Namespace, environment: Environment) -> None:
    from envbuild.instances.volume_users import remove_volumes

    volumes = [Volumes.of(store).find(name) for name in dict.fromkeys(arguments.name)]
    enter_for(store)  # what is in them belongs to users of images
    remove_volumes(store, volumes, force=arguments.force)
    for volume in volumes:
        environment.stdout.write(f"{volume.name}\n")


def _size(volume: Volume) -> int:
    from envbuild.store.disk_usage import measure_folder

    return measure_folder(volume.path)


def _names(users: list[User]) -> str:
    return ", ".join(sorted({user.instance.name for user in users}))


def _plain(volume: Volume, count: int, users: list[User]) -> dict[str, Any]:
    return {
        "name": volume.name,
        "path": volume.path,
        "made": iso(volume.made),
        "size": count,
        "used_by": [
            {
                "id": user.instance.identity,
                "name": user.instance.name,
                "target": user.target,
                "read_only": user.read_only,
                "running": user.running,
            }
            for user in users
        ],
    }
