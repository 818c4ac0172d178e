"""`envbuild remote`."""

from __future__ import annotations

import argparse

from envbuild.cli.environment import Environment
from envbuild.cli.json_output import add_format, print_json
from envbuild.cli.platform_option import add_platform, platform
from envbuild.cli.registry_options import access, add_insecure

DESCRIPTION = """\
Look at a registry. `ls HOST/PATH` lists the tags of a repository, `ls HOST` the repositories, if the registry tells.
`diff` compares two images by what describes them: facts, packages that statements asked for, and files, as far as the
layers have indexes of them, which those of envbuild have. No layer is fetched."""

EXAMPLES = """\
examples:
  envbuild remote ls HOST/shop/web
  envbuild remote diff HOST/shop/web:41 HOST/shop/web:42"""


def configure(parser: argparse.ArgumentParser) -> None:
    commands = parser.add_subparsers(dest="action", required=True, metavar="ls|diff")
    listing = commands.add_parser("ls", help="list the tags of a repository, or the repositories of a registry")
    listing.add_argument("where", metavar="HOST[/PATH]")
    add_insecure(listing)
    add_format(listing)
    compared = commands.add_parser("diff", help="compare two images")
    compared.add_argument("old", metavar="HOST/PATH:TAG")
    compared.add_argument("new", metavar="HOST/PATH:TAG")
    compared.add_argument(
        "--files", action="store_true", help="fetch layers that have no index of their files, to compare these"
    )
    compared.add_argument("--all", action="store_true", help="list all files that differ")
    add_platform(compared)
    add_insecure(compared)
    add_format(compared)


def run(arguments: argparse.Namespace, environment: Environment) -> int:
    return _list(arguments, environment) if arguments.action == "ls" else _compare(arguments, environment)


def _list(arguments: argparse.Namespace, environment: Environment) -> int:
    from envbuild.registry.client import repositories
    from envbuild.registry.reference import PULL, is_host, parse_host, parse_reference

    if is_host(arguments.where.rstrip("/")):
        host = parse_host(arguments.where.rstrip("/"))
        names = sorted(repositories(access(arguments, environment).exchange(host, insecure=arguments.insecure)))
    else:
        reference = parse_reference(arguments.where)
        names = sorted(access(arguments, environment).repository(reference, PULL, insecure=arguments.insecure).tags())
    if arguments.format == "json":
        print_json(names, environment.stdout)
        return 0
    environment.stdout.write("".join(f"{name}\n" for name in names))
    return 0


def _compare(arguments: argparse.Namespace, environment: Environment) -> int:
    from envbuild.registry.reference import PULL, parse_reference
    from envbuild.sharing.indexed_pull import Unfit
    from envbuild.sharing.remote_diff import compare, describe
    from envbuild.sharing.remote_files import FileChanges, fetched_changes, file_changes
    from envbuild.store.store import Store
    from envbuild.ui.reports.remote_diff import lines_of, plain_of
    from envbuild.ui.stream import Output

    sides = []
    for text in (arguments.old, arguments.new):
        reference = parse_reference(text)
        remote = access(arguments, environment).repository(reference, PULL, insecure=arguments.insecure)
        sides.append((remote, reference, describe(remote, reference, *platform(arguments.platform))))
    difference = compare(*(described for *_, described in sides))
    files: FileChanges | None = None
    if difference.manifests[0] != difference.manifests[1]:
        with Store.open(environment.store_path()) as store:
            try:
                files = file_changes(store, *((remote, described) for remote, _, described in sides))
            except Unfit as error:
                if arguments.files:
                    with environment.progress_line() as report:
                        files = fetched_changes(store, sides, environment.fetch_limit(), report)
                else:
                    reason = f"compared by layers, and not by files: {error}; --files fetches them"
                    environment.warn([reason], "note")
    if arguments.format == "json":
        print_json(plain_of(difference, files), environment.stdout)
        return 0
    output = Output(environment.stdout, environment.colour(environment.stdout))
    for line in lines_of(difference, files, output, everything=arguments.all):
        environment.stdout.write(f"{line}\n")
    return 0
