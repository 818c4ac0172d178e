"""The options of commands that reach a registry."""

from __future__ import annotations

import os

from envbuild.cli.environment import Environment
from envbuild.errors import FileUnusable

TYPE_CHECKING = False
if TYPE_CHECKING:
    import argparse

    from envbuild.registry.access import Access


def add_insecure(parser: argparse.ArgumentParser) -> None:
    """Add the option that trusts whoever answers, and the one of logins."""
    parser.add_argument(
        "--insecure",
        action="store_true",
        help="also without encryption, and with certificates that nobody vouches for (this machine's own registries "
        "need no encryption)",
    )
    add_authfile(parser)


def add_authfile(parser: argparse.ArgumentParser) -> None:
    """Add the option that names the file of logins."""
    parser.add_argument(
        "--authfile",
        metavar="FILE",
        default="",
        help="the file of logins, in place of docker's and podman's and of $REGISTRY_AUTH_FILE",
    )


def access(arguments: argparse.Namespace, environment: Environment) -> Access:
    """Return how the user reaches registries. Raises FileUnusable for a file of logins that is not there."""
    path = arguments.authfile
    if path and not os.path.exists(path):
        raise FileUnusable(path, "there is no such file", "envbuild login --authfile FILE makes one", "--authfile")
    return environment.registries(path)
