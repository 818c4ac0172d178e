"""`envbuild clone`."""

from __future__ import annotations

import argparse

from envbuild.cli.environment import Environment
from envbuild.sandbox.user_namespace import enter_user_namespace

DESCRIPTION = """\
Makes a second instance with the same files and settings, and starts it. What the two have in common is on disk once:
only what the first one wrote is looked at. A running one stands still meanwhile. Its volumes are copied, unless --share
says otherwise, and its ports lead to free ports of this machine, unless -p says to which."""

EXAMPLES = """\
examples:
  envbuild clone web
  envbuild clone db --name db-experiment -p 5433:5432"""


def configure(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("instance", metavar="INSTANCE", help="a name, or an id's first digits; running or over")
    parser.add_argument("--name", metavar="NAME", help="what the new one is called; default: NAME-2, NAME-3 ...")
    parser.add_argument(
        "-p",
        "--publish",
        action="append",
        default=[],
        metavar="PORT:INSIDE",
        help="its ports, instead of the first one's",
    )
    parser.add_argument("--share", action="store_true", help="use the same volumes; the programs have to bear that")


def run(arguments: argparse.Namespace, environment: Environment) -> int:
    from envbuild.instances.background import in_background
    from envbuild.instances.config import NEVER, settings_of
    from envbuild.instances.network.ports import open_ports, parse_ports
    from envbuild.instances.network.select import check_network
    from envbuild.instances.records import Instances

    path = environment.store_path()
    settings = settings_of(Instances.of(path).find(arguments.instance))
    ports = tuple(port for text in arguments.publish for port in parse_ports(text))
    check_network(settings.network)
    opened = [one for _, one in open_ports(ports)]
    with in_background(settings.network, path, opened, again=settings.restart.when != NEVER) as background:
        ids = enter_user_namespace()
        from envbuild.cli.launch import start_new
        from envbuild.drift.instance_tree import tree_of
        from envbuild.errors import WorkFailed
        from envbuild.instances.clone import copied_volumes, name_of_clone, settings_of_clone
        from envbuild.instances.control_client import paused
        from envbuild.plan.image_config import load
        from envbuild.store.store import Store

        with Store.open(environment.store_path(), create=False) as store:
            store.sparse_limit = environment.sparse_limit()
            store.share()
            store.owners_observable = ids.kind != "single"
            first = store.instances.find(arguments.instance)
            image = store.images.get(first.image)
            if image is None:
                raise WorkFailed(f"{first.name} is of no image", "open a shell in an image, and clone that instance")
            name = arguments.name or name_of_clone(store.instances, first.name)
            settings = settings_of_clone(first, ports)
            with paused(first):
                tree = tree_of(store, first)
                if not arguments.share:
                    settings = copied_volumes(store.volumes, settings, name)
            start_new(
                background,
                store,
                image,
                first.reference,
                load(first.facts),
                settings,
                name,
                environment,
                tree=tree,
            )
            for mount in settings.mounts if not arguments.share else ():
                if mount.kind == "volume":
                    from envbuild.ui.sanitize import visible

                    told = f"note: {mount.target} is a copy of its volume, {mount.source}"
                    environment.stderr.write(f"{visible(told)}\n")
    return 0
