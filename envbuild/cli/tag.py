"""`envbuild tag`."""

from __future__ import annotations

import argparse

from envbuild.cli.environment import Environment
from envbuild.store.images import split_name
from envbuild.store.store import Store

DESCRIPTION = "Gives an image another name. A name that another image has moves to this one."

EXAMPLES = """\
examples:
  envbuild tag web:latest web:prod"""


def configure(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("image", metavar="IMAGE", help="a name, NAME:TAG, or a digest's first digits")
    parser.add_argument("name", metavar="NAME[:TAG]", help="the new name")


def run(arguments: argparse.Namespace, environment: Environment) -> int:
    with Store.open(environment.store_path(), create=False) as store:
        store.share()
        image = store.images.resolve(arguments.image)
        name, tag = split_name(arguments.name)
        store.images.move(name, tag, image.digest, f"tag {arguments.image}")
    return 0
