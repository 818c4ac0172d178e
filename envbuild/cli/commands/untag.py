"""`envbuild untag`."""

from __future__ import annotations

from envbuild.cli.environment import Environment
from envbuild.images.reference import split_name
from envbuild.store.store import Store

TYPE_CHECKING = False
if TYPE_CHECKING:
    import argparse

DESCRIPTION = """\
Remove a tag from its image. The history of the tag stays (envbuild log), and so does the image, until `envbuild gc`
finds that nothing needs it."""

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
            name, tag = split_name(reference)
            store.tags.remove(name, tag, known={"user": environment.user()}, force=arguments.force)
    return 0
