"""`envbuild clone`."""

from __future__ import annotations

import argparse

from envbuild.cli.environment import Environment
from envbuild.cli.user_namespace import enter_for
from envbuild.instances.config import VOLUME
from envbuild.instances.records import Instances
from envbuild.instances.volumes import Volumes

TYPE_CHECKING = False
if TYPE_CHECKING:
    from envbuild.instances.background import Background
    from envbuild.instances.network.ports import Port

DESCRIPTION = """\
Start a second instance with the same files and settings. Files that the two share are on disk once: only what the
original has written is read. A running instance is paused meanwhile. Its volumes are copied, unless --share is
given, and its ports are published on free ports of this machine, unless -p names others."""

EXAMPLES = """\
examples:
  envbuild clone web
  envbuild clone db --name db-experiment -p 5433:5432"""


def configure(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "instance", metavar="INSTANCE", help="a name, or the first digits of an id; it need not be running"
    )
    parser.add_argument("--name", metavar="NAME", help="name the new instance (default: NAME-2, NAME-3 ...)")
    parser.add_argument(
        "-p",
        "--publish",
        action="append",
        default=[],
        metavar="PORT:INSIDE",
        help="publish these ports instead of those of the original",
    )
    parser.add_argument(
        "--share",
        action="store_true",
        help="share the volumes instead of copying them; the programs have to support that",
    )


def run(arguments: argparse.Namespace, environment: Environment) -> int:
    from envbuild.instances.background import in_backgrounds
    from envbuild.instances.config import settings_of
    from envbuild.instances.network.ports import parse_ports
    from envbuild.instances.records import Instances

    path = environment.store_path()
    config = settings_of(Instances.of(path).find(arguments.instance))
    ports = tuple(port for text in arguments.publish for port in parse_ports(text))
    with in_backgrounds(path, [config.replace(ports=ports)]) as (background,):
        return _clone(background, ports, arguments, environment)


def _clone(
    background: Background, ports: tuple[Port, ...], arguments: argparse.Namespace, environment: Environment
) -> int:
    from envbuild.cli.run_settings import machine_of
    from envbuild.drift.instance_tree import tree_of
    from envbuild.errors import WorkFailed
    from envbuild.instances.clone import copied_volumes, name_of_clone, refuse_taken_volumes, settings_of_clone
    from envbuild.instances.config import settings_of
    from envbuild.instances.control_client import paused
    from envbuild.instances.launch import Origin, launch_in_background
    from envbuild.plan.image_config import load
    from envbuild.store.store import Store

    with Store.open(environment.store_path(), create=False) as store:
        store.sparse_limit = environment.sparse_limit()
        store.share()
        enter_for(store)
        instances = Instances.of(store.path)
        source = instances.find(arguments.instance)
        if store.images.get(source.image) is None:
            raise WorkFailed(
                f"{source.name} was not made from an image", "open a shell in an image, and clone that instance"
            )
        name = arguments.name or name_of_clone(instances, source.name)
        instances.refuse_name(name)
        config = settings_of_clone(source, ports)
        if not arguments.share:
            refuse_taken_volumes(Volumes.of(store), config, name)
        with paused(source):
            tree = tree_of(store, source)
            if not arguments.share:
                config = copied_volumes(Volumes.of(store), config, name, settings_of(source).own_volumes)
        origin = Origin(source.image, source.reference, tree, load(source.facts))
        instance, warnings = launch_in_background(background, store, origin, config, machine_of(environment), name=name)
    environment.warn(warnings)
    environment.stdout.write(f"{instance.name}\n")
    environment.stdout.flush()
    shared = f"is shared with {source.name}: the volume" if arguments.share else "is a copy of its volume,"
    mounts = [mount for mount in config.mounts if mount.kind == VOLUME]
    environment.warn([f"{mount.target} {shared} {mount.source}" for mount in mounts], "note")
    return 0
