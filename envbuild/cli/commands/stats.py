"""`envbuild stats`."""

from __future__ import annotations

import argparse
import os
import time

from envbuild.cli.environment import Environment
from envbuild.cli.json_output import add_format, print_json
from envbuild.instances.records import EXITED, LOST, Instance, Instances, State
from envbuild.store.store import Store
from envbuild.text.sizes import format_size
from envbuild.ui.tables import table

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Any, TextIO

    from envbuild.instances.stats import Usage

DESCRIPTION = """\
Says what running instances use: processors (100% is one of them), memory, disk written, processes. On a terminal the
table is renewed until Ctrl-C."""

EXAMPLES = """\
examples:
  envbuild stats
  envbuild stats web db
  envbuild stats --no-stream --format json"""

EVERY = 2.0
"""Seconds between two tables."""
SHORT = 0.5
"""Seconds over which processors are measured where there is only one table."""
DISK_EVERY = 10.0
"""Seconds between two measurements of the disk, for which folders are gone through."""


def configure(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("instance", nargs="*", metavar="INSTANCE", help="names, or ids' first digits; default: all")
    parser.add_argument("--no-stream", action="store_true", help="one table, as if this were no terminal")
    add_format(parser)


def run(arguments: argparse.Namespace, environment: Environment) -> int:
    stream = environment.stdout
    live = stream.isatty() and not arguments.no_stream and arguments.format == "text"
    with Store.open(environment.store_path()) as store:
        for one in map(Instances.of(store.path).find, arguments.instance):
            if _state(store, one) is None:
                from envbuild.instances.control_client import NotRunning

                raise NotRunning(one.name)
        measured = _measured(store, arguments.instance)
        if not live:
            next(measured)
            time.sleep(SHORT)
            rows = next(measured)
            if arguments.format == "json":
                print_json([_plain(*row) for row in rows], stream)
            else:
                _print(rows, stream, None)
            return 0
        try:
            next(measured)
            time.sleep(SHORT)
            for rows in measured:
                # Home, and clear what was there; the cursor stays below the table.
                stream.write("\x1b[H\x1b[2J")
                _print(rows, stream, os.get_terminal_size(stream.fileno()).columns or 80)
                stream.flush()
                time.sleep(EVERY)
        except KeyboardInterrupt:
            stream.write("\n")
    return 0


def _measured(store: Store, names: list[str]) -> Iterator[list[tuple[Instance, Usage, float, int]]]:
    """Again and again (instance, usage, processors, bytes written) of those that run, by name."""
    from envbuild.instances.config import settings_of
    from envbuild.instances.network import HOST_NETWORK
    from envbuild.instances.stats import share, usages

    instances = Instances.of(store.path)
    wanted = {instances.find(name).identity for name in names}
    before: dict[str, Usage] = {}
    disk: dict[str, int] = {}
    at = 0.0
    private: dict[str, bool] = {}
    while True:
        found = [one for one in instances.all() if not wanted or one.identity in wanted]
        running = [(one, state) for one, state in ((one, _state(store, one)) for one in found) if state is not None]
        for one, _ in running:
            if one.identity not in private:
                private[one.identity] = settings_of(one).network != HOST_NETWORK
        now = usages(running, [identity for identity, own in private.items() if own])
        if not disk.keys() >= now.keys() or time.monotonic() - at >= DISK_EVERY:
            disk, at = _written([one for one, _ in running]), time.monotonic()
        yield [
            (one, now[one.identity], share(before.get(one.identity), now[one.identity]), disk.get(one.identity, 0))
            for one in sorted((one for one, _ in running), key=lambda one: one.name)
            if one.identity in now
        ]
        before = now


def _state(store: Store, one: Instance) -> State | None:
    state = Instances.of(store.path).state(one)
    return None if state.status in (EXITED, LOST) else state


def _written(instances: list[Instance]) -> dict[str, int]:
    """What each has written. Where that can't be read by the user, a process that is root of the namespace reads it:
    this one has to stay outside, where it may look into processes of instances."""
    from envbuild.instances.stats import written

    try:
        return {one.identity: written(one.path) for one in instances}
    except PermissionError:
        pass
    import json

    from envbuild.linux.forked import answer_of
    from envbuild.sandbox.user_namespace import enter_user_namespace

    def measure() -> bytes:
        enter_user_namespace()
        return json.dumps({instance.identity: written(instance.path) for instance in instances}).encode()

    answer = answer_of(measure)
    return json.loads(answer) if answer else {}


def _print(rows: list[tuple[Instance, Usage, float, int]], stream: TextIO, width: int | None) -> None:
    cells = [
        (
            one.name,
            f"{share * 100:.1f}%",
            format_size(used.memory) + (f" / {format_size(used.memory_limit)}" if used.memory_limit else ""),
            format_size(disk),
            "-"
            if used.received is None or used.sent is None
            else f"{format_size(used.received)} / {format_size(used.sent)}",
            str(used.processes),
        )
        for one, used, share, disk in rows
    ]
    heads = ("NAME", "CPU", "MEMORY", "DISK WRITTEN", "NET IN / OUT", "PROCESSES")
    table(heads, cells, stream=stream, width=width, right=(1, 2, 3, 4, 5))


def _plain(one: Instance, used: Usage, share: float, disk: int) -> dict[str, Any]:
    return {
        "id": one.identity,
        "name": one.name,
        "cpu_percent": round(share * 100, 1),
        "cpu_seconds": round(used.cpu, 3),
        "memory": used.memory,
        "memory_limit": used.memory_limit or None,
        "written": disk,
        "received": used.received,
        "sent": used.sent,
        "processes": used.processes,
    }
