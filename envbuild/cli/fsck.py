"""`envbuild fsck`."""

from __future__ import annotations

import argparse

from envbuild.cli.description import add_format, print_json
from envbuild.cli.environment import Environment
from envbuild.cli.namespace import enter_for
from envbuild.store.store import Store
from envbuild.ui.tables import table
from envbuild.ui.units import size

DESCRIPTION = """\
Reads the whole store back and says what is damaged. With --repair, damaged files are put aside and the steps that
need them forgotten, so that the next build makes them again. Exit code 1 if something was wrong."""

EXAMPLES = """\
examples:
  envbuild fsck
  envbuild fsck --repair"""


def configure(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--repair", action="store_true", help="put damaged files aside, and forget what needs them")
    add_format(parser)


def run(arguments: argparse.Namespace, environment: Environment) -> int:
    from envbuild.store.check import check

    with Store.open(environment.store_path(), create=False) as store:
        enter_for(store)
        store.tidy()
        found = check(store, repair=arguments.repair)
    if arguments.format == "json":
        problems = [{"kind": one.kind, "name": one.name, "reason": one.reason} for one in found.problems]
        print_json(
            {
                "problems": problems,
                "repaired": found.repaired,
                "trees": found.trees,
                "objects": found.objects,
                "layers": found.layers,
                "size": found.size,
            },
            environment.stdout,
        )
    else:
        rows = [(one.kind, one.name[:16], one.reason) for one in found.problems]
        if rows:
            table(("WHAT", "NAME", "PROBLEM"), rows, stream=environment.stdout)
        environment.stdout.write(
            f"{found.objects} files ({size(found.size)}), {found.trees} directories, {found.layers} layers: "
            f"{len(rows)} problems{', repaired' if found.repaired else ''}\n"
        )
    return 1 if found.problems and not found.repaired else 0
