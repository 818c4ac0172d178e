"""Which of this machine's package sources have which versions, as its own apt says (apt-cache(8))."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Iterable, Mapping

MAX_SECONDS = 60.0
_NAME = re.compile(r"([a-z0-9][a-z0-9+.-]*(?::[a-z0-9-]+)?):")
_VERSION = re.compile(r" (?:\*\*\*|   ) (\S+) -?\d+")
_SOURCE = re.compile(r" +-?\d+ ([a-z+]+://\S+) (\S+) \S+ Packages")

Source = tuple[str, str]
"""(address, suite) of a source."""


def sources_of_versions(names: Iterable[str]) -> Mapping[tuple[str, str], frozenset[Source]]:
    """Return the sources that have each (name, version) of these packages; nothing where this machine has no apt. The
    names are such as `DebianName` takes. Nothing is fetched, and nothing is written."""
    words = ["apt-cache", "-o", "Dir::Cache::pkgcache=", "-o", "Dir::Cache::srcpkgcache=", "policy", "--", *names]
    try:
        done = subprocess.run(
            words,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            env={"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "LC_ALL": "C"},
            timeout=MAX_SECONDS,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired):
        return {}
    return parse_policy(done.stdout.decode("utf-8", "replace"))


def parse_policy(text: str) -> Mapping[tuple[str, str], frozenset[Source]]:
    """Return what `apt-cache policy NAME ...` printed: the (address, suite) of the sources of each version. A source of
    several components has its suite before the first slash."""
    sources: dict[tuple[str, str], set[Source]] = {}
    name = version = ""
    for line in text.splitlines():
        if match := _NAME.fullmatch(line):
            name, version = match[1], ""
        elif match := _VERSION.fullmatch(line):
            version = match[1]
        elif name and version and (match := _SOURCE.fullmatch(line)):
            # As `apt-cache policy` has it: `bookworm/main`, and `./` for a source without suites.
            suite = match[2].rpartition("/")[0] if match[2].count("/") else match[2]
            sources.setdefault((name, version), set()).add((match[1].rstrip("/"), suite))
    return {key: frozenset(having) for key, having in sources.items()}
