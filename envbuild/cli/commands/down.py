"""`envbuild down`."""

from __future__ import annotations

import argparse

from envbuild.cli.environment import Environment
from envbuild.cli.group_options import add_options, display_of_group, load_group_of
from envbuild.cli.user_namespace import enter_for
from envbuild.errors import UsageError
from envbuild.instances.records import Instances
from envbuild.store.store import Store

DESCRIPTION = """\
Stop the services of a group, each before those that it depends on, and remove their instances. Volumes stay, unless
--volumes is given. If the file is gone, name the group."""

EXAMPLES = """\
examples:
  envbuild down
  envbuild down shop/services.yaml --volumes
  envbuild down shop"""


def configure(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("group", nargs="?", metavar="FILE|GROUP", help="the file, or the name of the group")
    add_options(parser)
    parser.add_argument(
        "--volumes", "-v", action="store_true", help="remove the volumes that the file declares, too, with their data"
    )
    parser.add_argument(
        "--time", "-t", type=float, metavar="SECONDS", help="wait this long for each service before killing it"
    )


def run(arguments: argparse.Namespace, environment: Environment) -> int:
    from envbuild.compose.down import no_such_group, remove_members, remove_volumes
    from envbuild.compose.file.load import looks_like_file
    from envbuild.compose.members import members
    from envbuild.compose.stop import stop_members

    group, name = None, arguments.group
    if name is None or looks_like_file(name):
        group, _ = load_group_of([name] if name else [], arguments.name, environment)
        name = group.name
    elif arguments.volumes:
        raise UsageError("--volumes removes what a file declares", "name the file: envbuild down FILE --volumes")
    with Store.open(environment.store_path()) as store:
        instances = Instances.of(store.path)
        in_group = members(instances, name)
        shown = display_of_group([member.service for member in in_group], environment)
        if not in_group and group is None:
            shown(no_such_group(instances, name))
        stop_members(instances, in_group, shown, arguments.time)
        if in_group or arguments.volumes:
            # What they wrote belongs to users of their own.
            enter_for(store)
        remove_members(store, in_group, shown)
        if arguments.volumes and group is not None:
            remove_volumes(store, group, shown)
    return 0
