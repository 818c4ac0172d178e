"""`envbuild gc`."""

from __future__ import annotations

import argparse

from envbuild.cli.description import add_format, print_json
from envbuild.cli.environment import Environment
from envbuild.cli.namespace import enter_for
from envbuild.errors import UsageError
from envbuild.store.store import Store
from envbuild.ui.units import size

DESCRIPTION = """\
Removes what nothing needs: what no tag (or its history), no lock on disk and no failed build to look into names.
Waits for builds that are running."""

EXAMPLES = """\
examples:
  envbuild gc --dry-run
  envbuild gc --keep-history 3"""


def configure(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--dry-run", "-n", action="store_true", help="only say what would be removed")
    parser.add_argument("--keep-history", type=int, metavar="N", help="past images that each tag keeps (default all)")
    parser.add_argument("--no-wait", action="store_true", help="fail if the store is in use")
    add_format(parser)


def run(arguments: argparse.Namespace, environment: Environment) -> int:
    from envbuild.store.collect import collect

    if arguments.keep_history is not None and arguments.keep_history < 0:
        raise UsageError("--keep-history takes a number from 0 on")
    with Store.open(environment.store_path(), create=False) as store:
        enter_for(store)
        store.tidy()
        freed = collect(
            store, keep_history=arguments.keep_history, dry_run=arguments.dry_run, wait=not arguments.no_wait
        )
    plain: dict[str, object] = {name: getattr(freed, name) for name in freed.__match_args__}
    if arguments.format == "json":
        print_json({**plain, "dry_run": arguments.dry_run}, environment.stdout)
        return 0
    verb = "would remove" if arguments.dry_run else "removed"
    environment.stdout.write(
        f"{verb} {freed.images} images, {freed.steps} steps, {freed.layers} layers, {freed.objects} files: "
        f"{size(freed.size)}\n"
    )
    return 0
