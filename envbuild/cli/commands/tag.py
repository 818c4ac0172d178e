"""`envbuild tag`."""

from __future__ import annotations

from envbuild.build.named_image import find_image
from envbuild.cli.environment import Environment
from envbuild.cli.left_behind import tell_of_left_behind
from envbuild.images.names import to_set
from envbuild.store.store import Store
from envbuild.store.tags import TAG

TYPE_CHECKING = False
if TYPE_CHECKING:
    import argparse

DESCRIPTION = """\
Give an image another tag. A tag of another image moves to this one, which its history records (envbuild log); an
immutable tag never moves."""

EXAMPLES = """\
examples:
  envbuild tag web:qa web:prod
  envbuild tag web:latest web:v1.2 --immutable
  envbuild tag web@{2} web:known-good"""


def configure(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("image", metavar="IMAGE", help="a name, NAME:TAG, NAME@{N}, or the first digits of a digest")
    parser.add_argument("name", metavar="NAME[:TAG]", help="the new tag")
    parser.add_argument("--immutable", action="store_true", help="make a tag that never moves again")


def run(arguments: argparse.Namespace, environment: Environment) -> int:
    with Store.open(environment.store_path(), create=False) as store:
        store.share()
        image = find_image(store, arguments.image)
        place, names = to_set(store, arguments.name, ".")
        if place.project is not None:
            store.projects.add(place.project)
        known = {"user": environment.user(), "source": arguments.image}
        store.tags.move(names, image.digest, TAG, known, immutable=arguments.immutable)
        for name in names:
            tell_of_left_behind(store, ":".join(name), environment)
    return 0
