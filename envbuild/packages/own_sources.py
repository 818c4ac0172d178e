"""Resolutions that ask only where the user's own settings say, whatever the tree has: for trees that somebody else may
have prepared."""

from __future__ import annotations

from collections.abc import Mapping

from envbuild.packages.task import FOLDER, Task

Pairs = tuple[tuple[str, str], ...]

APT_START = f"{FOLDER}/start.conf"
_APT = """\
Dir::Etc::Main "%(settings)s";
Dir::Etc::Parts "/dev/null";
Dir::Etc::SourceList "%(sources)s";
Dir::Etc::SourceParts "/dev/null";
"""
_PREFIXES = ("PIP_", "UV_", "NPM_CONFIG_", "npm_config_", "APT_")
_NAMES = ("SSL_CERT_FILE", "SSL_CERT_DIR", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE", "NODE_EXTRA_CA_CERTS")


def apt_with_own_sources(task: Task, settings: str, sources: str) -> Task:
    """The same resolution, for which apt reads these two files of the machine (where they are mounted) and no others
    (apt.conf(5), Dir::Etc; $APT_CONFIG is read before them)."""
    start = _APT % {"settings": settings, "sources": sources}
    environment = (*_plain(task.environment), ("APT_CONFIG", APT_START))
    return task.replace(environment=environment, files=(*task.files, (APT_START, start.encode())))


def pip_with_own_sources(task: Task, settings: Mapping[str, str]) -> Task:
    """The same resolution, for which pip reads no file of settings and has these instead (pip's documentation,
    "Configuration": a PIP_CONFIG_FILE that is the null device)."""
    own = {f"PIP_{name.upper().replace('-', '_')}": value for name, value in settings.items()}
    return task.replace(environment=(*_plain(task.environment), ("PIP_CONFIG_FILE", "/dev/null"), *own.items()))


def npm_with_own_sources(task: Task) -> Task:
    """The same resolution, for which npm reads no npmrc of a user or of the whole tree; the registry is in the
    machine's variables (npm's documentation, "config": userconfig, globalconfig)."""
    nowhere = (("npm_config_userconfig", "/dev/null"), ("npm_config_globalconfig", "/dev/null"))
    return task.replace(environment=(*_plain(task.environment), *nowhere))


def _plain(environment: Pairs) -> Pairs:
    """The variables that say nothing about where packages come from."""
    return tuple(
        (name, value)
        for name, value in environment
        if not name.startswith(_PREFIXES) and name not in _NAMES and not name.lower().endswith("_proxy")
    )
