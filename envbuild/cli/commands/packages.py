"""`envbuild packages`."""

from __future__ import annotations

import argparse

from envbuild.build.named_image import find_image
from envbuild.cli.environment import Environment
from envbuild.cli.json_output import add_format, print_json
from envbuild.store.store import Store
from envbuild.ui.tables import table

DESCRIPTION = """\
List the Debian, Python and Node packages of an image, as recorded in its files. Nothing of it is run. Records that
can't be read come last, with the reason."""

EXAMPLES = """\
examples:
  envbuild packages web
  envbuild packages web --kind python --format json"""


def configure(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("image", metavar="IMAGE", help="a name, NAME:TAG, or the first digits of a digest")
    parser.add_argument("--kind", choices=("dpkg", "python", "node"), help="list only packages of this kind")
    add_format(parser)


def run(arguments: argparse.Namespace, environment: Environment) -> int:
    from envbuild.packages.inventory.tree import packages_of

    with Store.open(environment.store_path(), create=False) as store:
        image = find_image(store, arguments.image)
        listed = packages_of(store, image)
    found = [package for package in listed.packages if arguments.kind in (None, package.kind)]
    bad = [record for record in listed.bad if arguments.kind in (None, record.kind)]
    if arguments.format == "json":
        plain = [
            {
                "kind": one.kind,
                "name": one.name,
                "version": one.version,
                "architecture": one.architecture,
                "path": one.path,
                "licences": list(one.licences),
                "hash": one.hash,
                "url": one.url,
                "bad": "",
            }
            for one in found
        ]
        nothing = {"name": "", "version": "", "architecture": "", "licences": [], "hash": "", "url": ""}
        plain += [{**nothing, "kind": record.kind, "path": record.path, "bad": record.reason} for record in bad]
        print_json(plain, environment.stdout)
        return 0
    rows = [(one.kind, one.name, one.version, ", ".join(one.licences) or "-", one.path) for one in found]
    rows += [(record.kind, "(bad record)", "-", record.reason, record.path) for record in bad]
    width = None
    if environment.stdout.isatty():
        import shutil

        width = shutil.get_terminal_size().columns
    table(("KIND", "NAME", "VERSION", "LICENCES", "FOUND AT"), rows, stream=environment.stdout, width=width)
    return 0
