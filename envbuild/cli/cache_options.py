"""The options for caches that a team shares in registries."""

from __future__ import annotations

from envbuild.build.request import CachePlace
from envbuild.cli.environment import Environment
from envbuild.errors import UsageError

TYPE_CHECKING = False
if TYPE_CHECKING:
    import argparse
    from typing import Any

    from envbuild.registry.client import Repository
    from envbuild.registry.reference import RegistryReference


def add_cache_options(parser: argparse.ArgumentParser) -> None:
    """Add `--cache-from`, `--cache-to` and `--cache-mounts`."""
    parser.add_argument(
        "--cache-from",
        action="append",
        default=[],
        metavar="HOST/PATH",
        help="look in this repository of a registry for results that are not in the store (may repeat)",
    )
    parser.add_argument(
        "--cache-to",
        action="append",
        default=[],
        metavar="HOST/PATH",
        help="put results that are not in this repository of a registry there (may repeat)",
    )


def shared_caches(arguments: argparse.Namespace, environment: Environment) -> dict[str, Any]:
    """Return the fields of a BuildRequest that these options say. Raises BadReference and UsageError."""
    settings = _settings(environment)
    names = arguments.cache_from or settings.cache_from, arguments.cache_to or settings.cache_to
    if not any(names):
        return {}
    from envbuild.registry.client import PULL, PUSH

    return {
        "cache_from": tuple(_place(text, PULL, environment) for text in names[0]),
        "cache_to": tuple(_place(text, PUSH, environment) for text in names[1]),
        "cache_patience": settings.patience,
    }


def _settings(environment: Environment) -> CacheSettings:
    for path in environment.cache_files():
        if os.path.exists(path):
            from envbuild.sharing.cache_settings import read_settings

            return read_settings(path)
    from envbuild.sharing.cache_settings import CacheSettings

    return CacheSettings()


def _place(text: str, rights: str, environment: Environment) -> CachePlace:
    from envbuild.registry.reference import parse_reference

    reference = parse_reference(text)
    if reference.tag or reference.digest:
        raise UsageError(f"{text}: a shared cache is a repository, and has tags of its own", "leave the tag out")
    return CachePlace(reference.text, lambda: _connect(reference, rights, environment))


def _connect(reference: RegistryReference, rights: str, environment: Environment) -> Repository:
    from envbuild.cli.registry_access import repository

    return repository(environment, reference, rights, insecure=False)
