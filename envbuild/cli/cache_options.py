"""The options for caches that a team shares in registries."""

from __future__ import annotations

import os

from envbuild.cli.environment import Environment
from envbuild.errors import FileUnusable, UsageError

TYPE_CHECKING = False
if TYPE_CHECKING:
    import argparse
    from typing import Any

    from envbuild.build.request import CachePlace
    from envbuild.sharing.cache_settings import CacheSettings

NONE = "none"


def add_cache_options(parser: argparse.ArgumentParser) -> None:
    """Add `--cache-from`, `--cache-to` and `--cache-mounts`."""
    parser.add_argument(
        "--cache-from",
        action="append",
        default=[],
        metavar="HOST/PATH|none",
        help="look in this repository of a registry for results that the store lacks (may repeat)",
    )
    parser.add_argument(
        "--cache-to",
        action="append",
        default=[],
        metavar="HOST/PATH|none",
        help="put results that this repository of a registry lacks there (may repeat)",
    )
    parser.add_argument(
        "--cache-mounts",
        action="store_true",
        help="fill empty directories of `cache=` from there, too, and put those there that steps used",
    )


def shared_caches(arguments: argparse.Namespace, environment: Environment) -> dict[str, Any]:
    """Return the fields of a BuildRequest that these options say, or else a file of the user's or the machine's. Raises
    BadReference, BadCacheSettings and UsageError."""
    asked = arguments.cache_from, arguments.cache_to
    if arguments.offline:
        if any(text != NONE for texts in asked for text in texts):
            raise UsageError("--offline, and a shared cache: that is on the network", "leave out one of the two")
        return {}
    path = next((path for path in environment.cache_files() if os.path.exists(path)), "")
    if not path and environment.variables.get("ENVBUILD_CACHE_FILE"):
        chosen = environment.cache_files()[0]
        raise FileUnusable(chosen, "there is no such file", "name a file with settings", "ENVBUILD_CACHE_FILE")
    if not path and not any(asked):
        return {}
    from envbuild.registry.reference import PULL, PUSH
    from envbuild.sharing.cache_settings import CacheSettings, read_settings

    settings = read_settings(path) if path else CacheSettings()
    places = asked[0] or settings.cache_from, asked[1] or settings.cache_to
    cache_from, cache_to = (
        tuple(_place(text, rights, settings) for text in texts if text != NONE)
        for texts, rights in zip(places, (PULL, PUSH), strict=True)
    )
    mounts = arguments.cache_mounts or settings.mounts
    return {"cache_from": cache_from, "cache_to": cache_to, "cache_patience": settings.patience, "cache_mounts": mounts}


def _place(text: str, rights: str, settings: CacheSettings) -> CachePlace:
    from envbuild.build.request import CachePlace
    from envbuild.registry.reference import parse_reference

    reference = parse_reference(text)
    if reference.tag or reference.digest:
        raise UsageError(f"{text}: a shared cache is a repository, and has tags of its own", "leave the tag out")
    return CachePlace(reference.text, reference, rights, reference.host in settings.insecure)
