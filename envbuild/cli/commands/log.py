"""`envbuild log`."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice

from envbuild.cli.environment import Environment
from envbuild.cli.operand_kind import is_remote
from envbuild.cli.registry_options import access, add_insecure
from envbuild.cli.user_namespace import with_rights
from envbuild.history.log import LogEntry, log
from envbuild.history.oneline import change_between
from envbuild.images.names import place_of
from envbuild.store.store import Store

TYPE_CHECKING = False
if TYPE_CHECKING:
    import argparse

DESCRIPTION = """\
Show the history of a tag, the newest entry first: when it moved, by which build of which recipe and git commit or by
which command, and what changed in packages, files and facts. `web@{N}` names the Nth entry wherever an image is
named. Of a tag in a registry, show the promotions that the registry has on record: its claim, and nobody's proof."""

EXAMPLES = """\
examples:
  envbuild log web
  envbuild log web:prod -n 5
  envbuild log web --oneline
  envbuild log HOST/shop/web:prod            by which promotions it came there
  envbuild log web --format json"""


def configure(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("name", metavar="NAME[:TAG]", help="the tag, of the store or of a registry: HOST/PATH:TAG")
    parser.add_argument("-n", "--max-count", type=int, metavar="N", help="show at most N entries")
    parser.add_argument("--oneline", action="store_true", help="show one line for each entry, without the changes")
    parser.add_argument("--format", choices=("text", "json"), default="text", help="print text or one JSON document")
    parser.add_argument("--no-pager", action="store_true", help="do not use a pager")
    add_insecure(parser)


def run(arguments: argparse.Namespace, environment: Environment) -> int:
    if is_remote(arguments.name):
        return _print_remote(arguments, environment)
    with Store.open(environment.store_path(), create=False) as store:
        _print(arguments, environment, store)
    return 0


def _print(arguments: argparse.Namespace, environment: Environment, store: Store) -> None:
    def changed(old: str, new: str) -> str:
        return with_rights(store, lambda: change_between(store, old, new))

    entries: Iterator[LogEntry] = log(store, arguments.name, None if arguments.oneline else changed)
    if arguments.max_count is not None:
        entries = islice(entries, max(0, arguments.max_count))
    if arguments.format == "json":
        from envbuild.cli.json_output import print_json
        from envbuild.ui.reports.history import plain

        print_json([plain(entry) for entry in entries], environment.stdout)
        return
    from envbuild.ui.pager import paged
    from envbuild.ui.reports.history import lines, one_line
    from envbuild.ui.stream import Output

    project = place_of(".").id
    here = store.projects.name(project) if project else ""
    with paged(environment.stdout, environment.variables, wanted=not arguments.no_pager) as stream:
        output = Output(stream, environment.colour(environment.stdout))
        for entry in entries:
            output.write_lines([one_line(entry, output, here)] if arguments.oneline else lines(entry, output, here))
            if output.lost is not None:
                return


def _print_remote(arguments: argparse.Namespace, environment: Environment) -> int:
    from envbuild.cli.json_output import print_json
    from envbuild.registry.reference import LATEST, PULL, parse_reference
    from envbuild.sharing.promote_remote import history_of
    from envbuild.ui.reports.promotions import history_lines, history_plain

    reference = parse_reference(arguments.name)
    reference = reference.replace(tag=reference.tag or ("" if reference.digest else LATEST))
    repository = access(arguments, environment).repository(reference, PULL, insecure=arguments.insecure)
    history = history_of(repository, reference)
    if arguments.max_count is not None:
        history = history[: max(0, arguments.max_count)]
    if arguments.format == "json":
        print_json(history_plain(history), environment.stdout)
        return 0
    for line in history_lines(reference.text, history):
        environment.stdout.write(f"{line}\n")
    return 0
