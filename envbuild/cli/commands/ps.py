"""`envbuild ps`."""

from __future__ import annotations

import os
import time

from envbuild.cli.environment import Environment
from envbuild.cli.json_output import add_format, print_json
from envbuild.instances.records import DAMAGED, EXITED, LOST, STARTING, DamagedInstance, Instance, Instances, State
from envbuild.text.dates import iso
from envbuild.ui.humanize import ago, duration
from envbuild.ui.tables import table

TYPE_CHECKING = False
if TYPE_CHECKING:
    import argparse
    from collections.abc import Sequence
    from typing import Any

DESCRIPTION = """\
List the instances that run, or with --all those that have ended, too. Instances with a damaged record are always
listed; they can be removed."""

EXAMPLES = """\
examples:
  envbuild ps
  envbuild ps --group shop
  envbuild ps --all --format json"""


def configure(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--all", "-a", action="store_true", help="list instances that have ended, too")
    parser.add_argument("--group", "-g", metavar="NAME", help="list only the instances of this group (envbuild up)")
    add_format(parser)


def run(arguments: argparse.Namespace, environment: Environment) -> int:
    networks = f"{environment.store_path()}/networks"
    if os.access(networks, os.W_OK):
        from envbuild.instances.network.members import tidy

        tidy(networks)  # whoever looks has the others know who was killed
    instances = Instances.of(environment.store_path())
    damaged = instances.damaged() if arguments.group is None else []
    standing = [(instance, instances.state(instance)) for instance in instances.all()]
    shown = [(instance, state) for instance, state in standing if arguments.all or state.status not in (EXITED, LOST)]
    if arguments.group is not None:
        from envbuild.compose.members import group_of  # only where asked for

        shown = [(instance, state) for instance, state in shown if group_of(instance) == arguments.group]
    named = _names([instance for instance, _ in shown], environment)
    if arguments.format == "json":
        plain = [plain_form(instance, state, *named[instance.identity]) for instance, state in shown] + [
            _plain_damaged(instance) for instance in damaged
        ]
        print_json(plain, environment.stdout)
        return 0
    now = time.time()
    rows = [
        (
            instance.identity,
            instance.name,
            f"{named[instance.identity][0]}{' (another one now)' if named[instance.identity][1] else ''}",
            _standing(state, now),
            _ports(state),
            ago(instance.made, now),
        )
        for instance, state in shown
    ]
    rows += [(instance.identity, instance.name, "-", f"{DAMAGED}: {instance.reason}", "", "-") for instance in damaged]
    table(("ID", "NAME", "IMAGE", "STATE", "PORTS", "MADE"), rows, stream=environment.stdout)
    return 0


def _names(instances: Sequence[Instance], environment: Environment) -> dict[str, tuple[str, str]]:
    """Return for each instance the name that it was started by, and that name once more if it means another image by
    now than the instance runs, else ""."""
    if not instances:
        return {}
    from envbuild.instances.moved_on import moved_on  # no database is opened where there are no instances
    from envbuild.store.store import Store

    with Store.open(environment.store_path(), create=False, writable=False) as store:
        shown = store.projects.shown
        return {
            item.identity: (shown(item.reference), shown(moved_on(store, item.reference, item.image)))
            for item in instances
        }


def _ports(state: State) -> str:
    shown = [f"{host}:{number}->{inside}/{protocol}" for host, number, inside, protocol in state.ports]
    return ", ".join(shown) if state.status not in (EXITED, LOST) else ""


def _standing(state: State, now: float) -> str:
    if state.status == EXITED:
        return f"exited ({state.code})" + (f": {state.error}" if state.error else "")
    if state.status == LOST:
        return "lost: its supervisor is gone"
    restarts = f", {state.restarts} restarts" if state.restarts else ""
    health = f" ({state.health})" if state.health else ""
    if state.status == STARTING:
        return state.status
    return f"{state.status} for {duration(max(0.0, now - state.started))}{health}{restarts}"


def _plain_damaged(instance: DamagedInstance) -> dict[str, Any]:
    return {"id": instance.identity, "name": instance.name, "state": DAMAGED, "error": instance.reason}


def plain_form(instance: Instance, state: State, reference: str, moved: str) -> dict[str, Any]:
    """Return what is shown of an instance as JSON."""
    from envbuild.compose.members import group_of
    from envbuild.instances.config import settings_of  # only where all is to be said

    settings = settings_of(instance)
    return {
        "id": instance.identity,
        "name": instance.name,
        "group": group_of(instance) or None,
        "image": f"sha256:{instance.image}",
        "reference": reference,
        "moved_on": moved,
        "made": iso(instance.made),
        "state": state.status,
        "started": iso(state.started) if state.started else None,
        "ended": iso(state.ended) if state.ended else None,
        "code": state.code,
        "restarts": state.restarts,
        "error": state.error,
        "health": state.health or None,
        "check": state.check,
        "temporary": instance.temporary,
        "command": list(settings.argv),
        "labels": dict(settings.labels),
        "network": settings.network,
        "address": state.address or None,
        "pid": state.pid or None,
        "ports": [dict(zip(("host", "port", "inside", "protocol"), port, strict=True)) for port in state.ports],
    }
