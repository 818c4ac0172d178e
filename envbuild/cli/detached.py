"""`envbuild run -d`: puts an instance on record and starts it in the background."""

from __future__ import annotations

import argparse

from envbuild.cli.environment import Environment
from envbuild.cli.foreground import variable, volume
from envbuild.engine.home import Homes
from envbuild.engine.image_facts import facts_of
from envbuild.engine.references import find_image
from envbuild.errors import UsageError
from envbuild.record import values
from envbuild.runtime.background import start_in_background
from envbuild.runtime.instance import NothingToRun
from envbuild.runtime.ports import parse_ports
from envbuild.store.store import Store


def run_detached(arguments: argparse.Namespace, environment: Environment) -> int:
    """Prints the instance's name when its command was started."""
    restart = _restart(arguments.restart)
    ports = [port for text in arguments.publish for port in parse_ports(text)]
    with Store.open(environment.store_path(), create=False) as store:
        store.share()
        image = find_image(store, arguments.image)
        facts = facts_of(image)
        argv = arguments.command or (facts.start.argv if facts.start is not None else ())
        if not argv:
            raise NothingToRun(arguments.image)
        parameters = facts.start.parameters if facts.start is not None and argv == facts.start.argv else ()
        user = facts.user if arguments.user is None else arguments.user
        options = {
            "argv": list(argv),
            "environment": [*parameters, *(variable(text, environment) for text in arguments.env)],
            "binds": [list(values(volume(text))) for text in arguments.volume],
            "user": arguments.user,
            "home": Homes(store).of(image.tree, user),
            "workdir": arguments.workdir,
            "network": arguments.network,
            "restart": restart,
            "ports": [list(values(one)) for one in ports],
        }
        instance = store.instances.create(
            arguments.name, image.digest, arguments.image, image.tree, image.facts, options
        )
    start_in_background(instance, environment.store_path())
    environment.stdout.write(f"{instance.name}\n")
    return 0


def _restart(text: str) -> list[object]:
    when, colon, most = text.partition(":")
    if when not in ("never", "always", "on-failure") or (colon and (when != "on-failure" or not most.isdigit())):
        raise UsageError(f"--restart {text}: no such rule", "never, always, on-failure or on-failure:N")
    return [when, int(most) if colon else None]
