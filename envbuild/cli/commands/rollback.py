"""`envbuild rollback`."""

from __future__ import annotations

from envbuild.cli.environment import Environment
from envbuild.history.rollback import roll_back
from envbuild.store.store import Store
from envbuild.ui.sanitize import visible

TYPE_CHECKING = False
if TYPE_CHECKING:
    import argparse

DESCRIPTION = """\
Move a tag back to its previous image; run it again to go one further back. The move is an entry in the history of
the tag, so that it can be undone, too. The recipe and its lock stay as they are."""

EXAMPLES = """\
examples:
  envbuild rollback web
  envbuild rollback web:prod --to v1.1       what web:v1.1 names
  envbuild rollback web --to 3               where it was three moves ago (envbuild log web)
  envbuild rollback web --to '2 days ago'
  envbuild rollback web --to 8e33e825"""


def configure(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("name", metavar="NAME[:TAG]", help="the tag to move")
    parser.add_argument(
        "--to",
        metavar="N|TAG|DIGEST|DATE",
        help="move the tag to this entry, tag, digest or date (default: the previous image)",
    )


def run(arguments: argparse.Namespace, environment: Environment) -> int:
    with Store.open(environment.store_path(), create=False) as store:
        store.share()
        moved = roll_back(store, arguments.name, arguments.to, environment.user())
    if moved.old == moved.new:
        environment.stdout.write(f"{moved.full} is {moved.new[:12]} already\n")
        return 0
    before = f"{moved.old[:12]} -> " if moved.old else ""
    environment.stdout.write(f"{moved.full}: {before}{moved.new[:12]}\n")
    if moved.commit:
        file = visible(moved.file)
        environment.stderr.write(
            f"note: recipe and lock are as before; to take them back, too: "
            f"git checkout {moved.commit[:12]} -- :/{file} :/{file}.lock\n"
        )
    return 0
