"""`envbuild remote`."""

from __future__ import annotations

import argparse

from envbuild.cli.environment import Environment
from envbuild.cli.json_output import add_format, print_json
from envbuild.cli.platform_option import add_platform, platform
from envbuild.cli.registry_options import add_insecure
from envbuild.text.sizes import format_size

DESCRIPTION = """\
Look at a registry. `ls HOST/PATH` lists the tags of a repository, `ls HOST` the repositories, if the registry tells.
`diff` compares two images by what describes them; no layer is fetched."""

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
        names = sorted(repositories(environment.registries().exchange(host, insecure=arguments.insecure)))
    else:
        reference = parse_reference(arguments.where)
        names = sorted(environment.registries().repository(reference, PULL, insecure=arguments.insecure).tags())
    if arguments.format == "json":
        print_json(names, environment.stdout)
        return 0
    environment.stdout.write("".join(f"{name}\n" for name in names))
    return 0


def _compare(arguments: argparse.Namespace, environment: Environment) -> int:
    from envbuild.registry.reference import PULL, parse_reference
    from envbuild.sharing.remote_diff import compare, describe

    images = []
    for text in (arguments.old, arguments.new):
        reference = parse_reference(text)
        remote = environment.registries().repository(reference, PULL, insecure=arguments.insecure)
        images.append(describe(remote, reference, *platform(arguments.platform)))
    difference = compare(*images)
    if arguments.format == "json":
        print_json(difference.plain(), environment.stdout)
        return 0
    from envbuild.ui.sanitize import visible

    lines = [f"~ {name}: {old} -> {new}" for name, old, new in difference.facts]
    lines += [f"- layer {layer.digest[7:19]}  {format_size(layer.size)}  {layer.title}" for layer in difference.removed]
    lines += [f"+ layer {layer.digest[7:19]}  {format_size(layer.size)}  {layer.title}" for layer in difference.added]
    lines.append(
        f"{difference.same} layers are the same; {format_size(difference.to_fetch)} to fetch" if lines else "the same"
    )
    environment.stdout.write("".join(f"{visible(line)}\n" for line in lines))
    return 0
