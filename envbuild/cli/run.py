"""`envbuild run`."""

from __future__ import annotations

import argparse
import os
from collections.abc import Iterator
from contextlib import contextmanager

from envbuild.cli.environment import Environment
from envbuild.sandbox.helper import Helper
from envbuild.sandbox.ids import enter_user_namespace

DESCRIPTION = """\
Runs an image's start command, or the one after `--`, on the image's tree. What it writes is thrown away when it
ends. The exit code is the command's."""

EXAMPLES = """\
examples:
  envbuild run hello
  envbuild run web -- python3 --version
  envbuild run web -v ./data:/srv/data -e DEBUG=1 -- sh -c 'ls /srv/data'
  echo 1+1 | envbuild run web -- bc"""


TAKES_COMMAND = True


def configure(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("image", metavar="IMAGE", help="a name, NAME:TAG, or a digest's first digits")
    parser.usage = "envbuild run [OPTION ...] IMAGE [-- COMMAND ...]"
    parser.add_argument("-d", "--detach", action="store_true", help="in the background; prints its name")
    parser.add_argument(
        "-p",
        "--publish",
        action="append",
        default=[],
        metavar="[ADDRESS:]PORT:INSIDE[/udp]",
        help="a port of this machine that leads into the instance (with -d; may repeat)",
    )
    parser.add_argument("--name", metavar="NAME", help="what the instance is called (with -d)")
    parser.add_argument(
        "--restart",
        default="never",
        metavar="WHEN",
        help="never, always, on-failure or on-failure:N: start its command again when it ended (with -d)",
    )
    add_options(parser)


def add_options(parser: argparse.ArgumentParser) -> None:
    """The options that `run` and `shell` share."""
    parser.add_argument("-e", "--env", action="append", default=[], metavar="NAME[=VALUE]", help="set a variable")
    parser.add_argument(
        "-v", "--volume", action="append", default=[], metavar="HOST:ENV[:ro]", help="show a host path inside"
    )
    parser.add_argument("-u", "--user", metavar="NAME[:GROUP]", help="run as this user")
    parser.add_argument("-w", "--workdir", metavar="DIR", help="start in this directory")
    parser.add_argument(
        "--network", choices=("none", "host"), default="none", help="a loopback only, or this machine's network"
    )
    parser.add_argument("--no-tty", action="store_true", help="no terminal of its own, even on a terminal")


def run(arguments: argparse.Namespace, environment: Environment) -> int:
    if arguments.detach:
        from envbuild.cli.detached import run_detached

        return run_detached(arguments, environment)
    # Found out as the user: the namespace's root could write what the user may not.
    arguments.writable = os.access(environment.store_path(), os.W_OK)
    with sandbox_ahead() as helper:
        from envbuild.cli.foreground import run_image

        return run_image(helper, arguments, environment)


@contextmanager
def sandbox_ahead() -> Iterator[Helper]:
    """A helper that makes a sandbox at once: this process loads its other modules while that goes on."""
    with Helper.start(enter_user_namespace(), once=True) as helper:
        yield helper
