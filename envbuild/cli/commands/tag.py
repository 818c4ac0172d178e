"""`envbuild tag`."""

from __future__ import annotations

from envbuild.build.named_image import find_image
from envbuild.cli.environment import Environment
from envbuild.store.image_reference import split_name
from envbuild.store.store import Store
from envbuild.store.tags import TAG

TYPE_CHECKING = False
if TYPE_CHECKING:
    import argparse

DESCRIPTION = """\
Gives an image another name. A name that another image has moves to this one, and where it was stays in its history
(envbuild log); an immutable one refuses."""

EXAMPLES = """\
examples:
  envbuild tag web:qa web:prod
  envbuild tag web:latest web:v1.2 --immutable
  envbuild tag web@{2} web:known-good"""


def configure(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("image", metavar="IMAGE", help="a name, NAME:TAG, NAME@{N}, or a digest's first digits")
    parser.add_argument("name", metavar="NAME[:TAG]", help="the new name")
    parser.add_argument("--immutable", action="store_true", help="a name that never moves again")


def run(arguments: argparse.Namespace, environment: Environment) -> int:
    with Store.open(environment.store_path(), create=False) as store:
        store.share()
        image = find_image(store, arguments.image)
        names = [split_name(arguments.name)]
        known = {"user": environment.user(), "source": arguments.image}
        store.tags.move(names, image.digest, TAG, known, immutable=arguments.immutable)
    return 0
