"""The options for caches that a team shares in registries."""

from __future__ import annotations

import os

from envbuild.cli.environment import Environment
from envbuild.errors import BadOption, FileUnusable, UsageError

TYPE_CHECKING = False
if TYPE_CHECKING:
    import argparse
    from typing import Any

    from envbuild.build.request import CachePlace
    from envbuild.sharing.cache_settings import CacheSettings

NONE = "none"


def add_cache_options(parser: argparse.ArgumentParser) -> None:
    """Add `--cache-from`, `--cache-to` and `--cache-mounts`, and those for results of runs on other trees."""
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
    parser.add_argument(
        "--trace",
        action="store_true",
        help="note what each step reads, and run none again if only other things change",
    )
    parser.add_argument("--no-trace", action="store_true", help="don't, whatever the file with settings says")
    parser.add_argument(
        "--speculate",
        action="store_true",
        help="with --trace: run steps at once that did not read of each other before",
    )
    parser.add_argument(
        "--audit",
        metavar="SHARE",
        help="run this share of the steps that need not run all the same, and compare (such as 5%%)",
    )


def shared_caches(arguments: argparse.Namespace, environment: Environment) -> dict[str, Any]:
    """Return the fields of a BuildRequest that these options say, or else a file of the user's or the machine's. Raises
    BadReference, BadCacheSettings and UsageError."""
    asked = arguments.cache_from, arguments.cache_to
    if arguments.offline and any(text != NONE for texts in asked for text in texts):
        raise UsageError("--offline, and a shared cache: that is on the network", "leave out one of the two")
    path = next((path for path in environment.cache_files() if os.path.exists(path)), "")
    if not path and environment.variables.get("ENVBUILD_CACHE_FILE"):
        chosen = environment.cache_files()[0]
        raise FileUnusable(chosen, "there is no such file", "name a file with settings", "ENVBUILD_CACHE_FILE")
    audit = _share(arguments.audit)
    if not path and not any(asked):
        return _traced(arguments, False, audit)
    from envbuild.registry.reference import PULL, PUSH
    from envbuild.sharing.cache_settings import CacheSettings, read_settings

    settings = read_settings(path) if path else CacheSettings()
    traced = _traced(arguments, settings.trace, audit)
    if arguments.offline:
        return traced
    places = asked[0] or settings.cache_from, asked[1] or settings.cache_to
    cache_from, cache_to = (
        tuple(_place(text, rights, settings) for text in texts if text != NONE)
        for texts, rights in zip(places, (PULL, PUSH), strict=True)
    )
    mounts = arguments.cache_mounts or settings.mounts
    shared = {"cache_from": cache_from, "cache_to": cache_to, "cache_patience": settings.patience}
    return {**shared, "cache_mounts": mounts, **traced}


def _traced(arguments: argparse.Namespace, setting: bool | str, audit: float) -> dict[str, Any]:
    """Return which steps a build traces, by the options or else a file's setting."""
    from envbuild.build.request import ALL

    if arguments.trace and arguments.no_trace:
        raise UsageError("--trace and --no-trace", "leave out one of the two")
    trace = setting if isinstance(setting, str) else ALL if setting else ""
    if arguments.trace or arguments.no_trace:
        trace = ALL if arguments.trace else ""
    if audit and not trace:
        raise UsageError("--audit without --trace", "add --trace: only steps that were traced are reused, and audited")
    if arguments.speculate and not trace:
        raise UsageError("--speculate without --trace", "add --trace: what steps read says which may run at once")
    return {"trace": trace, "audit": audit, "speculate": arguments.speculate} if trace else {}


def _share(text: str | None) -> float:
    """Return the share that a text such as `5%` says. Raises BadOption."""
    if text is None:
        return 0.0
    number = text.removesuffix("%")
    if not number.isascii() or not number.isdigit() or len(number) > 3 or int(number) > 100:
        raise BadOption("--audit", text, "share", "--audit 5%")
    return int(number) / 100


def _place(text: str, rights: str, settings: CacheSettings) -> CachePlace:
    from envbuild.build.request import CachePlace
    from envbuild.registry.reference import parse_reference

    reference = parse_reference(text)
    if reference.tag or reference.digest:
        raise UsageError(f"{text}: a shared cache is a repository, and has tags of its own", "leave the tag out")
    return CachePlace(reference.text, reference, rights, reference.host in settings.insecure)
