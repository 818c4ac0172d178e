"""A project's `.npmrc`, as far as it decides what npm answers.

Such a file may have passwords and tokens. So only settings that are known here are kept, and of addresses neither
users nor passwords; nothing else of the file comes into a sandbox, a lock, or the store.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping

from envbuild.http.addresses import without_user
from envbuild.text.json import loads

SETTINGS = ".npmrc"
"""The name of the file."""
LOCK_NAMES = ("npm-shrinkwrap.json", "package-lock.json")
"""npm's own locks, the one first that goes before the other."""
_DECIDING = {
    "also",
    "before",
    "cpu",
    "dev",
    "engine-strict",
    "force",
    "global-style",
    "include",
    "install-links",
    "install-strategy",
    "legacy-bundling",
    "legacy-peer-deps",
    "libc",
    "node-linker",
    "node-version",
    "omit",
    "only",
    "optional",
    "os",
    "prefer-dedupe",
    "production",
    "registry",
    "strict-peer-deps",
    "tag",
}
_SCOPED = re.compile(r"@[A-Za-z0-9._~-]{1,214}:registry")
_COMMENT = re.compile(r"(?<!\\)[;#]")
_VARIABLE = re.compile(r"(?<!\\)(\\*)\$\{([^${}?]+)(\?)?\}")
MAX_SETTINGS = 1000
"""Lines that are kept."""
_MAX_VALUE = 2048


def cleaned(content: bytes, variables: Mapping[str, str]) -> bytes:
    """Return the settings that decide an answer, a line each, with variables replaced. The same for what this
    returned."""
    kept = []
    for name, value in _settings(content.decode("utf-8", "replace")):
        plain = name.removesuffix("[]").strip().lower()
        scoped = _SCOPED.fullmatch(name)
        if plain not in _DECIDING and scoped is None:
            continue
        value = without_user(_replaced(value, variables))
        if "://" in value:
            value = value.partition("?")[0]
        if value.isprintable() and len(value) <= _MAX_VALUE and "${" not in value:
            kept.append(f"{name if scoped else plain + ('[]' if name.endswith('[]') else '')}={value}\n")
    return "".join(kept[:MAX_SETTINGS]).encode()


def registry_of(content: bytes, package: str) -> str:
    """Return the address of the registry that cleaned settings name for a package, "" if none."""
    settings = dict(_settings(content.decode()))
    scope, slash, _ = package.partition("/")
    scoped = settings.get(f"{scope}:registry", "") if slash and scope.startswith("@") else ""
    return (scoped or settings.get("registry", "")).rstrip("/")


def setting_of(contents: Iterable[tuple[str, bytes]], name: str) -> str:
    """Return what the settings among a project's files say under a name, "" for nothing; of a list all its items."""
    values = [
        value
        for path, content in contents
        if path.rpartition("/")[2] == SETTINGS
        for setting, value in _settings(content.decode("utf-8", "replace"))
        if setting.removesuffix("[]") == name
    ]
    return " ".join(values)


def _settings(text: str) -> Iterator[tuple[str, str]]:
    """Yield the names and values of a file in the form of ini, up to its first section."""
    for line in text.splitlines():
        line = line.strip()
        if line.startswith("["):
            return
        if not line or line[0] in ";#":
            continue
        name, equals, value = line.partition("=")
        value = _COMMENT.split(value, maxsplit=1)[0].strip()
        yield _unquoted(name.strip()), _unquoted(value) if equals else "true"


def _unquoted(text: str) -> str:
    if len(text) > 1 and text[0] == text[-1] == '"':
        try:
            plain = loads(text)
        except ValueError:
            return text
        return plain if isinstance(plain, str) else text
    return text[1:-1] if len(text) > 1 and text[0] == text[-1] == "'" else text


def _replaced(value: str, variables: Mapping[str, str]) -> str:
    def of(match: re.Match[str]) -> str:
        if len(match[1]) % 2:
            return match[0]
        return match[1] + variables.get(match[2], "" if match[3] else match[0][len(match[1]) :])

    return _VARIABLE.sub(of, value)
