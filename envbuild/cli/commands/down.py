"""`envbuild down`."""

from __future__ import annotations

import argparse

from envbuild.cli.commands.up import add_options, display, load
from envbuild.cli.environment import Environment
from envbuild.cli.user_namespace import enter_for
from envbuild.errors import UsageError
from envbuild.instances.records import Instances
from envbuild.store.store import Store

DESCRIPTION = """\
Ends the services of a group, each before those that it depends on, and removes their instances. Volumes stay, unless
--volumes says otherwise. A group whose file is gone is named."""

EXAMPLES = """\
examples:
  envbuild down
  envbuild down shop/services.yaml --volumes
  envbuild down shop"""


def configure(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("group", nargs="?", metavar="FILE|GROUP", help="the file, or the group's name")
    add_options(parser)
    parser.add_argument(
        "--volumes", "-v", action="store_true", help="also remove the volumes that the file declares, with all in them"
    )
    parser.add_argument("--time", "-t", type=float, metavar="SECONDS", help="how long each service has to end")


def run(arguments: argparse.Namespace, environment: Environment) -> int:
    from envbuild.compose.down import remove_members, remove_volumes, unknown
    from envbuild.compose.file.find import looks_like_file
    from envbuild.compose.members import members
    from envbuild.compose.stop import end

    group, name = None, arguments.group
    if name is None or looks_like_file(name):
        group, _ = load([name] if name else [], arguments.name, environment)
        name = group.name
    elif arguments.volumes:
        raise UsageError("--volumes removes what a file declares", "name the file: envbuild down FILE --volumes")
    with Store.open(environment.store_path()) as store:
        instances = Instances.of(store.path)
        found = members(instances, name)
        shown = display([one.service for one in found], environment)
        if not found and group is None:
            shown(unknown(instances, name))
        end(instances, found, shown, arguments.time)
        if found or arguments.volumes:
            # What they wrote belongs to users of their own.
            enter_for(store)
        remove_members(store, found, shown)
        if arguments.volumes and group is not None:
            remove_volumes(store, group, shown)
    return 0
