"""`envbuild sbom`."""

from __future__ import annotations

import argparse
import os

from envbuild.build.named_image import find_image
from envbuild.cli.environment import Environment
from envbuild.errors import FileUnusable
from envbuild.store.store import Store

DESCRIPTION = """\
Write the bill of materials of an image: its packages with their URLs, versions, hashes and licences. The same image
always gives the same text."""

EXAMPLES = """\
examples:
  envbuild sbom web > web.cdx.json
  envbuild sbom web --format spdx -o web.spdx.json"""


def configure(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("image", metavar="IMAGE", help="a name, NAME:TAG, or the first digits of a digest")
    parser.add_argument(
        "--format", choices=("cyclonedx", "spdx"), default="cyclonedx", help="CycloneDX 1.5 or SPDX 2.3, as JSON"
    )
    parser.add_argument("--output", "-o", metavar="FILE", help="write to this file (default: standard output)")


def run(arguments: argparse.Namespace, environment: Environment) -> int:
    from envbuild.images.find import facts_of
    from envbuild.packages.inventory.tree import packages_of

    with Store.open(environment.store_path(), create=False) as store:
        image = find_image(store, arguments.image)
        packages = packages_of(store, image)
    epoch = facts_of(image).epoch
    # Each library takes a third of a second to import: only the one that is asked for.
    if arguments.format == "spdx":
        from envbuild.packages.sbom.spdx import spdx

        text = spdx(arguments.image, image.digest, epoch, packages)
    else:
        from envbuild.packages.sbom.cyclonedx import cyclonedx

        text = cyclonedx(arguments.image, image.digest, epoch, packages)
    if arguments.output is None:
        environment.stdout.write(text)
        return 0
    try:
        _put(arguments.output, text)
    except OSError as error:
        raise FileUnusable(arguments.output, str(error.strerror), "name a file that can be written") from error
    return 0


def _put(path: str, text: str) -> None:
    """Write the file whole or not at all; what is no regular file, such as a pipe, is written to as it is."""
    if os.path.exists(path) and not os.path.isfile(path):
        with open(path, "w", encoding="utf-8") as file:
            file.write(text)
        return
    temporary = f"{path}.{os.getpid()}.new"
    try:
        with open(temporary, "x", encoding="utf-8") as file:
            file.write(text)
        os.replace(temporary, path)
    except OSError:
        try:
            os.unlink(temporary)
        except FileNotFoundError:
            pass
        raise
