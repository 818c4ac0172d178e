"""`envbuild exec`."""

from __future__ import annotations

from envbuild.cli.environment import Environment

TYPE_CHECKING = False
if TYPE_CHECKING:
    import argparse

DESCRIPTION = """\
Run another command in a running instance, by default with the user, directory and environment of the instance. The
exit code is that of the command."""

EXAMPLES = """\
examples:
  envbuild exec web -- ls -l /srv
  envbuild exec web                      a shell
  echo hello | envbuild exec web -- cat"""

TAKES_COMMAND = 1


def configure(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("instance", metavar="INSTANCE", help="a name, or the first digits of an id")
    parser.add_argument("-e", "--env", action="append", default=[], metavar="NAME[=VALUE]", help="set a variable")
    parser.add_argument("-u", "--user", metavar="NAME[:GROUP]", help="run as this user")
    parser.add_argument("-w", "--workdir", metavar="DIR", help="start in this directory")
    parser.add_argument(
        "-i", "--interactive", action="store_true", help="read standard input, which it always does: docker's word"
    )
    parser.add_argument(
        "-t", "--tty", action="store_true", help="allocate a terminal, which it always does on one: docker's word"
    )
    parser.add_argument("--no-tty", action="store_true", help="allocate no terminal, even on a terminal")


def run(arguments: argparse.Namespace, environment: Environment) -> int:
    from envbuild.cli.run_settings import enter_instance

    return enter_instance(arguments.instance, arguments.command, arguments, environment)
