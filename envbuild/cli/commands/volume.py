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
Named volumes: folders of data that outlive the instances that use them. `run -v NAME:DIR` makes one that is not there,
with what the image has in DIR. Nothing but `volume rm` removes one."""

EXAMPLES = """\
examples:
  envbuild volume ls
  envbuild volume show data
  envbuild volume rm data"""


def configure(parser: argparse.ArgumentParser) -> None:
    commands = parser.add_subparsers(dest="action", required=True, metavar="ls|show|create|rm")
    listing = commands.add_parser("ls", help="list the volumes")
    add_format(listing)
    show = commands.add_parser("show", help="where a volume lies, and which instances use it")
    show.add_argument("name", metavar="NAME")
    add_format(show)
    create = commands.add_parser("create", help="make an empty volume")
    create.add_argument("name", metavar="NAME")
    remove = commands.add_parser("rm", help="remove volumes with all that is in them")
    remove.add_argument("name", metavar="NAME", nargs="+")
    remove.add_argument("--force", "-f", action="store_true", help="also those that instances which are over would use")


def run(arguments: argparse.Namespace, environment: Environment) -> int:
    action = {"ls": _list, "show": _show, "create": _create, "rm": _remove}[arguments.action]
    with Store.open(environment.store_path(), create=arguments.action in ("create", "ls")) as store:
        action(store, arguments, environment)
    return 0


def _list(store: Store, arguments: argparse.Namespace, environment: Environment) -> None:
    from envbuild.instances.volume_users import users_of_volumes

    users = users_of_volumes(store)
    found = with_rights(store, lambda: [(one, _size(one)) for one in Volumes.of(store).all()])
    if arguments.format == "json":
        print_json([_plain(one, count, users.get(one.name, [])) for one, count in found], environment.stdout)
        return
    rows = [
        (one.name, format_size(count), ago(one.made, time.time()), _names(users.get(one.name, [])))
        for one, count in found
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
    rows += [("used by", f"{one.instance.name} at {one.target}{'' if one.running else ', over'}") for one in users]
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
    return ", ".join(sorted({one.instance.name for one in users}))


def _plain(volume: Volume, count: int, users: list[User]) -> dict[str, Any]:
    return {
        "name": volume.name,
        "path": volume.path,
        "made": iso(volume.made),
        "size": count,
        "used_by": [
            {
                "id": one.instance.identity,
                "name": one.instance.name,
                "target": one.target,
                "read_only": one.read_only,
                "running": one.running,
            }
            for one in users
        ],
    }
