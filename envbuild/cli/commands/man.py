"""`envbuild man`."""

from __future__ import annotations

import os

from envbuild.cli.environment import Environment

TYPE_CHECKING = False
if TYPE_CHECKING:
    import argparse

DESCRIPTION = """\
Write the manual pages of all commands, made from the same text as --help, into a directory: for packages, and for
MANPATH."""

EXAMPLES = """\
examples:
  envbuild man --output ~/.local/share/man/man1
  envbuild man --output man1 && man -l man1/envbuild-build.1"""


def configure(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--output", "-o", metavar="DIR", required=True, help="the directory, which is made if needed")


def run(arguments: argparse.Namespace, environment: Environment) -> int:
    from envbuild.cli.manual import pages

    os.makedirs(arguments.output, exist_ok=True)
    for name, text in pages().items():
        with open(f"{arguments.output}/{name}", "w", encoding="utf-8") as file:
            file.write(text)
    return 0
