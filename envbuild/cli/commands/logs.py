"""`envbuild logs`."""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Iterable

from envbuild.cli.environment import Environment
from envbuild.instances.records import Instances
from envbuild.store.store import Store
from envbuild.text.dates import iso
from envbuild.ui.sanitize import LineCleaner

TYPE_CHECKING = False
if TYPE_CHECKING:
    import argparse

DESCRIPTION = "Print the output of an instance: its standard output and standard error, each to its own stream."

EXAMPLES = """\
examples:
  envbuild logs web
  envbuild logs -f --tail 20 --timestamps web"""


def configure(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("instance", metavar="INSTANCE", help="a name, or the first digits of an id")
    parser.add_argument("--follow", "-f", action="store_true", help="follow the output until the instance ends")
    parser.add_argument("--tail", "-n", type=int, metavar="N", help="print only the last N lines")
    parser.add_argument("--timestamps", "-t", action="store_true", help="print the time of each line")


def run(arguments: argparse.Namespace, environment: Environment) -> int:
    from envbuild.instances.logs import ERR, entries

    with Store.open(environment.store_path(), create=False) as store:
        instance = Instances.of(store.path).find(arguments.instance)
        path = f"{instance.path}/log"
        kept: Iterable[tuple[float, str, bytes]] = ()
        skip = 0
        if arguments.tail is not None:
            kept = deque(entries(path), max(0, arguments.tail))
            skip = sum(1 for _ in entries(path))
        cleaners = {False: LineCleaner(), True: LineCleaner()}

        def show(entry: tuple[float, str, bytes]) -> None:
            moment, stream, line = entry
            target = environment.stderr if stream == ERR else environment.stdout
            mark = f"{iso(moment)} " if arguments.timestamps else ""
            if target.isatty():
                # On a terminal the bytes could do harm; a file or a program gets them as they are.
                for clean in cleaners[stream == ERR].feed(line + b"\n"):
                    target.write(f"{mark}{clean}\n")
            else:
                target.flush()
                target.buffer.write(mark.encode() + line + b"\n")
            target.flush()

        for entry in kept:
            show(entry)
        if arguments.tail is not None and not arguments.follow:
            return 0
        alive = lambda: Instances.of(store.path).is_supervised(instance)  # noqa: E731
        if os.path.exists(path):
            try:
                for number, entry in enumerate(entries(path, follow=arguments.follow, alive=alive)):
                    if number >= skip:
                        show(entry)
            except KeyboardInterrupt:
                if not arguments.follow:
                    raise
                return 130  # how a look at an instance that runs on usually ends
    return 0
