"""`envbuild images`."""

from __future__ import annotations

import time

from envbuild.cli.environment import Environment
from envbuild.cli.json_output import add_format, describe, print_json
from envbuild.store.store import Store
from envbuild.text.sizes import format_size
from envbuild.ui.humanize import ago
from envbuild.ui.tables import table

TYPE_CHECKING = False
if TYPE_CHECKING:
    import argparse

DESCRIPTION = "List the images that have a tag, or with --all every image in the store."

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
        rows = []
        for image in shown:
            for name in [tag.full for tag in store.tags.all(image.digest)] or ["-"]:
                files, total = store.size(image.tree)
                rows.append((name, image.digest[:12], str(files), format_size(total), ago(image.made, time.time())))
        table(("IMAGE", "DIGEST", "FILES", "SIZE", "MADE"), rows, stream=environment.stdout, right=(2, 3))
    return 0
