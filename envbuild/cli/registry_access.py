"""A registry as the user may use it: who they are there, whom to trust, and whether without encryption."""

from __future__ import annotations

from envbuild.cli.environment import Environment

TYPE_CHECKING = False
if TYPE_CHECKING:
    import argparse

    from envbuild.registry.client import Repository
    from envbuild.registry.exchange import Exchange
    from envbuild.registry.reference import RegistryReference


def add_insecure(parser: argparse.ArgumentParser) -> None:
    """Add the option that trusts whoever answers."""
    parser.add_argument(
        "--insecure",
        action="store_true",
        help="also without encryption, and with certificates that nobody vouches for (this machine's own registries "
        "need no encryption)",
    )


def exchange(environment: Environment, host: str, path: str, *, insecure: bool) -> Exchange:
    """Return a registry as the user who is logged in there with docker, podman or envbuild, or as nobody.

    Called before the user's namespace is entered: programs that keep passwords look who runs them."""
    from envbuild.registry.auth_file import find_login
    from envbuild.registry.exchange import Exchange
    from envbuild.registry.server import Server

    login = find_login(environment.auth_files(), host, path)
    return Exchange(Server(host, environment.certificate_folders(), insecure=insecure), login)


def repository(environment: Environment, reference: RegistryReference, rights: str, *, insecure: bool) -> Repository:
    """Return the repository of a reference."""
    from envbuild.registry.client import Repository

    reached = exchange(environment, reference.host, reference.path, insecure=insecure)
    return Repository(reached, reference.path, rights)
