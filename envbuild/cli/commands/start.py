"""`envbuild start`."""

from __future__ import annotations

import argparse
from contextlib import ExitStack

from envbuild.cli.environment import Environment
from envbuild.instances.records import LOST, Instance
from envbuild.store.store import Store

DESCRIPTION = "Starts instances again that are over, in the background, with the files as they left them."

EXAMPLES = """\
examples:
  envbuild start web
  envbuild start --lost"""


def configure(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("instance", nargs="*", metavar="INSTANCE", help="names, or ids' first digits")
    parser.add_argument(
        "--lost", action="store_true", help="all that a restart of the machine has ended and whose rule is not never"
    )


def run(arguments: argparse.Namespace, environment: Environment) -> int:
    from envbuild.instances.background import in_background
    from envbuild.instances.config import NEVER, RESERVED, settings_of
    from envbuild.instances.network.ports import open_ports
    from envbuild.instances.network.select import check_network
    from envbuild.sandbox.user_namespace import enter_user_namespace

    names = list(arguments.instance)
    with Store.open(environment.store_path(), create=False) as store:
        if arguments.lost:
            names += [one.name for one in store.instances.all() if _is_wanted(store, one)]
        found = [store.instances.find(one) for one in names]  # all of them, before any is started
    path = environment.store_path()
    # Those of named networks first: nobody can enter one from a user namespace of its own.
    found.sort(key=lambda one: settings_of(one).network in RESERVED)
    with ExitStack() as stack:
        backgrounds = []
        for one in found:
            settings = settings_of(one)
            check_network(settings.network)
            opened = [socket for _, socket in open_ports(settings.ports)]
            again = settings.restart.when != NEVER
            backgrounds.append(stack.enter_context(in_background(settings.network, path, opened, again=again)))
        enter_user_namespace()
        from envbuild.cli.launch import start_again

        for one, background in zip(found, backgrounds, strict=True):
            with Store.open(path, create=False) as store:
                start_again(background, store, one.identity, environment)
    return 0


def _is_wanted(store: Store, instance: Instance) -> bool:
    from envbuild.instances.config import NEVER, settings_of

    return store.instances.state(instance).status == LOST and settings_of(instance).restart.when != NEVER
