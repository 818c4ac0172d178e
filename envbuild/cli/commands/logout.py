"""`envbuild logout`."""

from __future__ import annotations

import argparse

from envbuild.cli.environment import Environment
from envbuild.cli.registry_options import add_authfile

DESCRIPTION = """\
Forget the login of a registry, in docker's and podman's files and in the programs for passwords that they name."""

EXAMPLES = """\
examples:
  envbuild logout HOST"""


def configure(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("host", metavar="HOST", help="the registry, HOST or HOST:PORT")
    add_authfile(parser)


def run(arguments: argparse.Namespace, environment: Environment) -> int:
    from envbuild.registry.auth_file import remove_login
    from envbuild.registry.reference import parse_host

    host = parse_host(arguments.host)
    places = remove_login(environment.auth_files(arguments.authfile), host)
    for place in places:
        environment.stdout.write(f"logged out from {host} ({place})\n")
    if not places:
        environment.stdout.write(f"there was no login for {host}\n")
    return 0
