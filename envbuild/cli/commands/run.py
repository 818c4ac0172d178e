"""`envbuild run`."""

from __future__ import annotations

import argparse
import os
from socket import socket

from envbuild.cli.environment import Environment
from envbuild.cli.run_options import add_options
from envbuild.errors import UsageError
from envbuild.instances.ahead import sandbox_ahead

DESCRIPTION = """\
Runs an image's start command, or the one after `--`, in an instance: on the image's tree, with what it writes kept
apart. In the foreground the exit code is the command's, and what it wrote is thrown away when it ends, unless --keep
says otherwise; with -d the instance goes on in the background, and stays until `envbuild rm`."""

EXAMPLES = """\
examples:
  envbuild run hello
  envbuild run web -- python3 --version
  envbuild run web --here -- pytest
  envbuild run -d --name web -p 8080:80 -v data:/srv/data --restart on-failure web
  echo 1+1 | envbuild run web -- bc"""


TAKES_COMMAND = True


def configure(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("image", metavar="IMAGE", help="a name, NAME:TAG, or a digest's first digits")
    parser.usage = "envbuild run [OPTION ...] IMAGE [-- COMMAND ...]"
    parser.add_argument("-d", "--detach", action="store_true", help="in the background; prints its name")
    kept = parser.add_mutually_exclusive_group()
    kept.add_argument("--keep", action="store_true", help="keep the instance when it is over (as with -d)")
    kept.add_argument("--rm", action="store_true", help="remove it when it is over (as without -d)")
    parser.add_argument(
        "--restart",
        default="never",
        metavar="WHEN",
        help="never, always, on-failure or on-failure:N: start its command again when it ended (with -d)",
    )
    add_options(parser)


def run(arguments: argparse.Namespace, environment: Environment) -> int:
    opened = open_published(arguments)
    # Found out as the user: the namespace's root could write what the user may not.
    arguments.writable = os.access(environment.store_path(), os.W_OK)
    if arguments.detach:
        from envbuild.instances.background import in_background

        again = arguments.restart != "never"
        with in_background(arguments.network, environment.store_path(), opened, again=again) as background:
            from envbuild.cli.launch import run_detached

            return run_detached(background, arguments, environment)
    with sandbox_ahead(arguments.network, environment.store_path(), opened) as ahead:
        from envbuild.cli.launch import run_image

        return run_image(ahead, arguments, environment)


def open_published(arguments: argparse.Namespace) -> list[socket]:
    """Checks what the options say of the network, and opens the ports of `-p`: as the user, who may have a right that
    the root of a user namespace has not, and before anything starts. Raises UsageError, MachineLacks and PortTaken."""
    if arguments.network not in ("none", "host"):
        from envbuild.instances.network.select import check_network

        check_network(arguments.network)
    if not arguments.publish and not arguments.publish_all:
        return []
    from envbuild.instances.network.ports import MAPPING_MEANS_NOTHING, open_ports, parse_ports

    if arguments.network == "host":
        raise UsageError(*MAPPING_MEANS_NOTHING)
    ports = [port for text in arguments.publish for port in parse_ports(text)]
    return [one for _, one in open_ports(ports)]
