"""`envbuild drift`."""

from __future__ import annotations

import argparse

from envbuild.cli.environment import Environment
from envbuild.cli.json_output import print_json
from envbuild.cli.user_namespace import enter_for
from envbuild.drift.instance_drift import drift_of
from envbuild.drift.instance_operand import instances_of
from envbuild.store.store import Store
from envbuild.ui.pager import paged
from envbuild.ui.reports.drift import drift_lines, drift_plain
from envbuild.ui.reports.screen import screen_of
from envbuild.ui.stream import Output

DESCRIPTION = """\
Show what was changed by hand in an instance, or in the instances of an image, since they started, whether they still
run or not. An image's name means its image and those that it named before; without a name, all instances are shown.

What running leaves behind (logs, caches, process ids ...) is counted and not shown. Exit code: 0 if nothing was
changed, 1 if anything was."""

EXAMPLES = """\
examples:
  envbuild drift web
  envbuild drift web-3f2a
  envbuild drift web:prod --files
  envbuild drift --format json"""


def configure(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "name", nargs="?", metavar="NAME", help="an instance, or an image in any form (default: all instances)"
    )
    parser.add_argument("--files", action="store_true", help="list every path that differs, and how")
    parser.add_argument("--all", "-a", action="store_true", help="show noise, too, and all lists in full")
    parser.add_argument("--format", choices=("text", "json"), default="text", help="print text or JSON")
    parser.add_argument("--no-pager", action="store_true", help="do not use a pager")


def run(arguments: argparse.Namespace, environment: Environment) -> int:
    with Store.open(environment.store_path(), create=False) as store:
        store.sparse_limit = environment.sparse_limit()
        instances = instances_of(store, arguments.name)
        if instances:
            enter_for(store)
        drifts = [drift_of(store, instance, everything=arguments.all) for instance in instances]
        plain = [drift_plain(drift, files=arguments.files) for drift in drifts]
    if arguments.format == "json":
        print_json(plain, environment.stdout)
    else:
        with paged(environment.stdout, environment.variables, wanted=not arguments.no_pager) as stream:
            screen = screen_of(environment.stdout)
            output = Output(stream, environment.colour(environment.stdout))
            if not plain:
                of = f" of {arguments.name}" if arguments.name else ""
                stream.write(f"there are no instances{of}\n")
            for number, report in enumerate(plain):
                stream.writelines(["\n"] if number else [])
                stream.writelines(f"{line}\n" for line in drift_lines(report, output, screen, everything=arguments.all))
    return 1 if any(drift.is_any for drift in drifts) else 0
