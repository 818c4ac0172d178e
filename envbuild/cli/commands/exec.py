"""`envbuild exec`."""

from __future__ import annotations

import argparse

from envbuild.cli.environment import Environment

DESCRIPTION = """\
Runs another command in a running instance, beside its own: with its user, directory and environment unless told
otherwise. The exit code is the command's."""

EXAMPLES = """\
examples:
  envbuild exec web -- ps aux
  envbuild exec web                      a shell
  echo hello | envbuild exec web -- cat"""

TAKES_COMMAND = True


def configure(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("instance", metavar="INSTANCE", help="a name, or an id's first digits")
    parser.add_argument("-e", "--env", action="append", default=[], metavar="NAME[=VALUE]", help="set a variable")
    parser.add_argument("-u", "--user", metavar="NAME[:GROUP]", help="run as this user")
    parser.add_argument("-w", "--workdir", metavar="DIR", help="start in this directory")
    parser.add_argument("--no-tty", action="store_true", help="no terminal of its own, even on a terminal")


def run(arguments: argparse.Namespace, environment: Environment) -> int:
    from envbuild.cli.run_settings import enter_instance

    return enter_instance(arguments.instance, arguments.command, arguments, environment)
