"""`envbuild stats`."""

from __future__ import annotations

import argparse
import os
import time

from envbuild.cli.environment import Environment
from envbuild.cli.json_output import add_format, print_json
from envbuild.instances.control_client import NotRunning
from envbuild.instances.records import Instances
from envbuild.instances.stats import Measurement, Usage, is_running, measurements
from envbuild.store.store import Store
from envbuild.text.sizes import format_size
from envbuild.ui.tables import table

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, TextIO

DESCRIPTION = """\
Show what running instances use: processors (100% is one processor), memory, disk space written, processes. On a
terminal the table is updated until Ctrl-C."""

EXAMPLES = """\
examples:
  envbuild stats
  envbuild stats web db
  envbuild stats --no-stream --format json"""

EVERY = 2.0
"""Seconds between two tables."""
SHORT = 0.5
"""Seconds over which processors are measured where there is only one table."""


def configure(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "instance", nargs="*", metavar="INSTANCE", help="names, or the first digits of ids (default: all)"
    )
    parser.add_argument("--no-stream", action="store_true", help="print one table and exit")
    add_format(parser)


def run(arguments: argparse.Namespace, environment: Environment) -> int:
    stream = environment.stdout
    live = stream.isatty() and not arguments.no_stream and arguments.format == "text"
    with Store.open(environment.store_path()) as store:
        instances = Instances.of(store.path)
        chosen = [instances.find(name) for name in arguments.instance]
        for instance in chosen:
            if not is_running(instances, instance):
                raise NotRunning(instance.name)
        measured = measurements(instances, {instance.identity for instance in chosen})
        try:
            # Processor use needs two looks.
            next(measured)
            time.sleep(SHORT)
            for rows in measured:
                if arguments.format == "json":
                    print_json([_plain(row) for row in rows], stream)
                    break
                if not live:
                    _print(rows, stream, None)
                    break
                # Home, and clear what was there; the cursor stays below the table.
                stream.write("\x1b[H\x1b[2J")
                _print(rows, stream, os.get_terminal_size(stream.fileno()).columns or 80)
                stream.flush()
                time.sleep(EVERY)
        except KeyboardInterrupt:
            if not live:
                raise
            stream.write("\n")
    return 0


def _print(rows: list[Measurement], stream: TextIO, width: int | None) -> None:
    cells = [
        (
            row.instance.name,
            f"{row.processors * 100:.1f}%",
            format_size(row.usage.memory)
            + (f" / {format_size(row.usage.memory_limit)}" if row.usage.memory_limit else ""),
            format_size(row.written),
            _traffic(row.usage),
            str(row.usage.processes),
        )
        for row in rows
    ]
    heads = ("NAME", "CPU", "MEMORY", "DISK WRITTEN", "NET IN / OUT", "PROCESSES")
    table(heads, cells, stream=stream, width=width, right=(1, 2, 3, 4, 5))


def _traffic(usage: Usage) -> str:
    if usage.received is None or usage.sent is None:
        return "-"
    return f"{format_size(usage.received)} / {format_size(usage.sent)}"


def _plain(row: Measurement) -> dict[str, Any]:
    return {
        "id": row.instance.identity,
        "name": row.instance.name,
        "cpu_percent": round(row.processors * 100, 1),
        "cpu_seconds": round(row.usage.cpu, 3),
        "memory": row.usage.memory,
        "memory_limit": row.usage.memory_limit or None,
        "written": row.written,
        "received": row.usage.received,
        "sent": row.usage.sent,
        "processes": row.usage.processes,
    }
