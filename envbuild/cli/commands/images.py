"""`envbuild images`."""

from __future__ import annotations

import time

from envbuild.cli.environment import Environment
from envbuild.cli.json_output import add_format, describe, print_json
from envbuild.images.names import place_of
from envbuild.store.project import split_project
from envbuild.store.store import Store
from envbuild.text.sizes import format_size
from envbuild.ui.humanize import ago
from envbuild.ui.tables import table

TYPE_CHECKING = False
if TYPE_CHECKING:
    import argparse

DESCRIPTION = (
    "List the images that have a tag, or with --all every image in the store, with the project that a tag belongs to."
)

EXAMPLES = """\
examples:
  envbuild images
  envbuild images --format json"""


def configure(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--all", "-a", action="store_true", help="list images without a tag, too")
    add_format(parser)


def run(arguments: argparse.Namespace, environment: Environment) -> int:
    with Store.open(environment.store_path()) as store:
        shown = [image for image in store.images.all() if arguments.all or store.tags.all(image.digest)]
        if arguments.format == "json":
            print_json([describe(store, image) for image in shown], environment.stdout)
            return 0
        here = place_of(".").id
        rows: list[tuple[str, ...]] = []
        projects = []
        for image in shown:
            files, total = store.size(image.tree)
            for name in [tag.full for tag in store.tags.all(image.digest)] or ["-"]:
                row = (image.digest[:12], str(files), format_size(total), ago(image.made, time.time()))
                rows.append((store.projects.shown(name, here), *row))
                projects.append(store.projects.get(split_project(name)[0]))
        head: tuple[str, ...] = ("IMAGE", "DIGEST", "FILES", "SIZE", "MADE")
        if any(projects):
            head += ("PROJECT",)
            rows = [
                (*row, project.path if project is not None else "-")
                for row, project in zip(rows, projects, strict=True)
            ]
        table(head, rows, stream=environment.stdout, right=(2, 3))
    return 0
