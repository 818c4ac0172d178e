"""`envbuild untag`."""

from __future__ import annotations

from envbuild.cli.environment import Environment
from envbuild.images.names import locate, no_such_tag, with_latest
from envbuild.images.reference import parse_name
from envbuild.store.store import Store

TYPE_CHECKING = False
if TYPE_CHECKING:
    import argparse

DESCRIPTION = """\
Remove a tag from its image. The history of the tag stays (envbuild log), and so does the image, until `envbuild gc`
finds that nothing needs it. In a git repository NAME alone is the tag of the branch that is checked out, and
NAME:latest goes with it if it names the same image."""

EXAMPLES = """\
examples:
  envbuild untag web:old"""


def configure(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("name", nargs="+", metavar="NAME[:TAG]", help="the tags to remove")
    parser.add_argument("--force", "-f", action="store_true", help="remove immutable tags, too")


def run(arguments: argparse.Namespace, environment: Environment) -> int:
    with Store.open(environment.store_path(), create=False) as store:
        store.share()
        for reference in arguments.name:
            parsed = parse_name(reference)
            tag_and_name = locate(store, parsed, ".")
            image = store.tags.image_of(*tag_and_name)
            if image is None:
                raise no_such_tag(store, parsed, tag_and_name, ".")
            for name, tag in with_latest(store, reference, tag_and_name):
                if (name, tag) == tag_and_name or store.tags.image_of(name, tag) == image:
                    store.tags.remove(name, tag, known={"user": environment.user()}, force=arguments.force)
    return 0
