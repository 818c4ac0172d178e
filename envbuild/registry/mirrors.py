"""Where images of a registry are had from, by podman's settings (containers-registries.conf(5), version 2): mirrors,
other locations, and registries that are blocked."""

from __future__ import annotations

import os
import tomllib
from collections.abc import Iterator, Sequence
from typing import Any

from envbuild.errors import FileUnusable, UsageError, fields
from envbuild.record import Record
from envbuild.registry.reference import BadReference, RegistryReference, parse_reference

_MAX = 1 << 20
_MEND = "make it a file that you can read"


@fields
class BadRegistriesFile(UsageError):
    """A registries.conf that is not as podman wants it."""

    path: str
    reason: str

    def text(self) -> tuple[str, str]:
        return f"{self.path}: {self.reason}", "man containers-registries.conf says how it has to be"


@fields
class Blocked(UsageError):
    """A registry that the settings of this machine don't allow."""

    reference: str
    path: str

    def text(self) -> tuple[str, str]:
        return f"{self.reference} is blocked", f"{self.path} says so"


class Endpoint(Record):
    """Where an image is asked for: its name there, and whether without encryption, too."""

    reference: RegistryReference
    insecure: bool


class _Rule(Record):
    prefix: str
    location: str
    insecure: bool
    blocked: bool
    mirrors: tuple[tuple[str, bool, str], ...]
    path: str


def endpoints(files: Sequence[str], reference: RegistryReference) -> list[Endpoint]:
    """Return where an image may be had from, its mirrors first and its own registry last, by the first of `files` that
    is there and those of the folder FILE.d. Raises BadRegistriesFile, Blocked and FileUnusable."""
    name = f"{reference.host}/{reference.path}"
    fitting = [rule for rule in _rules(files) if _fits(rule.prefix, name)]
    if not fitting:
        return [Endpoint(reference, False)]
    # Of two with the same prefix the later file's counts.
    rule = max(reversed(fitting), key=lambda rule: len(rule.prefix))
    if rule.blocked:
        raise Blocked(reference.text, rule.path)
    kind = "digest-only" if reference.digest else "tag-only"
    mirrors = [
        Endpoint(_moved(rule, location, reference), insecure)
        for location, insecure, pulled in rule.mirrors
        if pulled in ("", "all", kind)
    ]
    return [*mirrors, Endpoint(_moved(rule, rule.location, reference), rule.insecure)]


def _fits(prefix: str, name: str) -> bool:
    if prefix.startswith("*."):
        return name.partition("/")[0].partition(":")[0].endswith(prefix[1:])
    return name == prefix or name.startswith(f"{prefix}/")


def _moved(rule: _Rule, location: str, reference: RegistryReference) -> RegistryReference:
    """Return what an image is called at a location: that in place of the prefix."""
    name = f"{reference.host}/{reference.path}"
    rest = "" if not location or rule.prefix.startswith("*.") else name[len(rule.prefix) :]
    try:
        moved = parse_reference(f"{location}{rest}" if location and not rule.prefix.startswith("*.") else name)
    except BadReference:
        raise BadRegistriesFile(rule.path, f"{location[:200]!a} is not a place of images") from None
    return moved.replace(tag=reference.tag, digest=reference.digest)


def _rules(files: Sequence[str]) -> Iterator[_Rule]:
    for path in files:
        own = _read(path) if os.path.exists(path) else None
        if own is not None:
            yield from _rules_of(own, path)
        folder = f"{path}.d"
        for name in sorted(os.listdir(folder)) if os.path.isdir(folder) else ():
            if name.endswith(".conf"):
                yield from _rules_of(_read(f"{folder}/{name}"), f"{folder}/{name}")
        if own is not None:
            return


def _rules_of(plain: dict[str, Any], path: str) -> Iterator[_Rule]:
    tables = plain.get("registry", [])
    if not isinstance(tables, list):
        raise BadRegistriesFile(path, "it is of the first version, or not as podman wants it")
    for table in tables:
        location = _text(table, "location", path).rstrip("/")
        prefix = _text(table, "prefix", path).rstrip("/") or location
        if not prefix:
            raise BadRegistriesFile(path, "a registry has neither prefix nor location")
        mirrors = table.get("mirror", [])
        if not isinstance(mirrors, list):
            raise BadRegistriesFile(path, "a mirror is not as podman wants it")
        yield _Rule(
            prefix,
            location or ("" if prefix.startswith("*.") else prefix),
            _flag(table, "insecure", path),
            _flag(table, "blocked", path),
            tuple(
                (
                    _text(mirror, "location", path).rstrip("/"),
                    _flag(mirror, "insecure", path),
                    _text(mirror, "pull-from-mirror", path)
                    or ("digest-only" if _flag(table, "mirror-by-digest-only", path) else ""),
                )
                for mirror in mirrors
            ),
            path,
        )


def _text(table: object, name: str, path: str) -> str:
    value = table.get(name, "") if isinstance(table, dict) else None
    if not isinstance(value, str):
        raise BadRegistriesFile(path, f"{name} is not a text")
    return value


def _flag(table: object, name: str, path: str) -> bool:
    value = table.get(name, False) if isinstance(table, dict) else None
    if not isinstance(value, bool):
        raise BadRegistriesFile(path, f"{name} is neither true nor false")
    return value


def _read(path: str) -> dict[str, Any]:
    try:
        with open(path, "rb") as file:
            content = file.read(_MAX + 1)
    except OSError as error:
        raise FileUnusable(path, str(error.strerror), _MEND) from error
    if len(content) > _MAX:
        raise BadRegistriesFile(path, f"it has more than {_MAX:,} bytes")
    try:
        return tomllib.loads(content.decode())
    except (ValueError, RecursionError) as error:
        raise BadRegistriesFile(path, f"not TOML: {str(error)[:200]}") from None
