"""`envbuild fsck`."""

from __future__ import annotations

import argparse

from envbuild.cli.environment import Environment
from envbuild.cli.json_output import add_format, print_json
from envbuild.cli.user_namespace import enter_for
from envbuild.store.database import StoreDamaged
from envbuild.store.store import Store
from envbuild.text.sizes import format_size
from envbuild.ui.humanize import count
from envbuild.ui.tables import table

TYPE_CHECKING = False
if TYPE_CHECKING:
    from envbuild.store.fsck import Findings

DESCRIPTION = """\
Read the whole store back and report damage. With --repair, damaged files are set aside and the steps that need them
are forgotten, so that the next build makes them again. Exit code 1 if anything was damaged."""

EXAMPLES = """\
examples:
  envbuild fsck
  envbuild fsck --repair"""


def configure(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--repair", action="store_true", help="set damaged files aside, and forget the steps that need them"
    )
    add_format(parser)


def _check(path: str, environment: Environment, *, repair: bool) -> Findings:
    from envbuild.instances.records import Instances
    from envbuild.instances.store_needs import check_instances
    from envbuild.store.fsck import check

    with Store.open(path, create=False) as store:
        enter_for(store)
        instances = Instances.of(path)
        if not store.database.read_only:
            store.tidy()
            instances.tidy()
        with environment.progress_line() as line:
            return check(store, lambda repairs: check_instances(instances, repairs), line, repair=repair)


def run(arguments: argparse.Namespace, environment: Environment) -> int:
    path = environment.store_path()
    reason = ""
    try:
        check = _check(path, environment, repair=arguments.repair)
        reason = next((problem.reason for problem in check.problems if problem.kind == "database"), "")
    except StoreDamaged as error:
        if not arguments.repair:
            raise
        reason = error.message
    if reason and arguments.repair:
        from envbuild.store.db_recovery import salvage

        saved = salvage(path)
        environment.stderr.write(f"the database is damaged ({reason}): {saved} rows of it were saved into a new one\n")
        check = _check(path, environment, repair=True)
    if arguments.format == "json":
        problems = [
            {"kind": problem.kind, "name": problem.name, "reason": problem.reason} for problem in check.problems
        ]
        print_json(
            {
                "problems": problems,
                "repaired": check.repaired,
                "trees": check.trees,
                "objects": check.objects,
                "layers": check.layers,
                "size": check.size,
            },
            environment.stdout,
        )
    else:
        rows = [(problem.kind, problem.name[:16], problem.reason) for problem in check.problems]
        if rows:
            table(("WHAT", "NAME", "PROBLEM"), rows, stream=environment.stdout)
        environment.stdout.write(
            f"{count(check.objects, 'file')} ({format_size(check.size)}), {check.trees} "
            f"{'directory' if check.trees == 1 else 'directories'}, {count(check.layers, 'layer')}: "
            f"{count(len(rows), 'problem')}{', repaired' if check.repaired else ''}\n"
        )
    return 1 if check.problems and not check.repaired else 0
