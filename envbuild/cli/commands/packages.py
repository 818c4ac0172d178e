"""`envbuild packages`."""

from __future__ import annotations

import argparse
from posixpath import dirname

from envbuild.build.named_image import find_image
from envbuild.cli.environment import Environment
from envbuild.cli.json_output import add_format, print_json
from envbuild.packages.inventory.component import DPKG, KINDS, Component
from envbuild.store.store import Store
from envbuild.ui.tables import table, width_of

DESCRIPTION = """\
List the Debian, Python and Node packages of an image, as recorded in its files, and the crates, Go modules and Maven
artifacts that its build took from locks of projects. Nothing of it is run. Records that can't be read come last, with
the reason. A `*` marks what a statement of the recipe names. JSON has all of it,
whatever the table leaves out."""

EXAMPLES = """\
examples:
  envbuild packages web
  envbuild packages web --licences
  envbuild packages web --kind python --format json
  envbuild packages web --kind cargo"""


def configure(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("image", metavar="IMAGE", help="a name, NAME:TAG, or the first digits of a digest")
    parser.add_argument("--kind", choices=KINDS, help="list only packages of this kind")
    parser.add_argument("--licences", action="store_true", help="show licences in place of directories")
    parser.add_argument(
        "--all", "-a", action="store_true", help="list also the copies that packages have inside of themselves"
    )
    parser.add_argument("--no-pager", action="store_true", help="do not use a pager")
    add_format(parser)


def run(arguments: argparse.Namespace, environment: Environment) -> int:
    from envbuild.history.requested_packages import requested_of
    from envbuild.packages.inventory.tree import packages_of
    from envbuild.ui.pager import paged

    with Store.open(environment.store_path(), create=False) as store:
        image = find_image(store, arguments.image)
        listed = packages_of(store, image)
        asked = requested_of(store, image, listed.packages)
    packages = [package for package in listed.packages if arguments.kind in (None, package.kind)]
    bad = [record for record in listed.bad if arguments.kind in (None, record.kind)]
    if arguments.format == "json":
        plain = [
            {
                "kind": package.kind,
                "name": package.name,
                "version": package.version,
                "architecture": package.architecture,
                "path": package.path,
                "licences": list(package.licences),
                "hash": package.hash,
                "url": package.url,
                "stage": package.stage,
                "asked": package in asked,
                "bad": "",
            }
            for package in packages
        ]
        nothing = {"name": "", "version": "", "architecture": "", "licences": [], "hash": "", "url": "", "stage": ""}
        plain += [
            {**nothing, "asked": False, "kind": record.kind, "path": record.path, "bad": record.reason}
            for record in bad
        ]
        print_json(plain, environment.stdout)
        return 0
    shown = [package for package in packages if arguments.all or not is_vendored(package.path)]
    headers = ("KIND", "NAME", "ASKED", "VERSION", "LICENCES" if arguments.licences else "WHERE")
    rows = [
        (package.kind, package.name, "*" if package in asked else "", package.version, _last_column(package, arguments))
        for package in shown
    ]
    width = width_of(environment.stdout)
    with paged(environment.stdout, environment.variables, wanted=not arguments.no_pager) as stream:
        table(headers, rows, stream=stream, width=width, colour=environment.colour(environment.stdout))
        if bad:
            stream.write("\n")
            records = [(record.kind, record.path, record.reason) for record in bad]
            table(("KIND", "BAD RECORD", "REASON"), records, stream=stream, width=width)
        if len(shown) < len(packages):
            left_out = _copies(len(packages) - len(shown))
            stream.write(f"\nand {left_out} that other packages brought for themselves (--all)\n")
    return 0


def _copies(number: int) -> str:
    return "1 copy" if number == 1 else f"{number} copies"


def is_vendored(path: str) -> bool:
    """Return whether a record at `path` is of a copy inside another package."""
    # What pnpm's layout has in a folder of its own is not inside another package.
    return path.replace("/node_modules/.pnpm/", "/").count("/node_modules/") > 1 or "/_vendor/" in path


def _last_column(package: Component, arguments: argparse.Namespace) -> str:
    if arguments.licences:
        return ", ".join(package.licences) or "-"
    if package.stage:
        return f"stage {package.stage}"
    # dpkg's packages are all in one record, which says nothing.
    return "" if package.kind == DPKG else dirname(dirname(package.path))
