"""Cargo.lock, in the versions 1 to 4 of its form: the crates of registries that a project is built of."""

from __future__ import annotations

import re
import tomllib
from typing import Any

from envbuild.errors import WorkFailed, fields
from envbuild.lockfile.lock import Package
from envbuild.packages.crate_names import CRATES, SPARSE, CrateName, CrateOrigin, CrateVersion
from envbuild.packages.manager import Contents

MAX_CRATES = 20_000
MAX_BYTES = 16 << 20
_CRATES_INDEX = re.compile(r"(?:registry|sparse)\+https?://[^?#]*\bcrates\.io(?:-index)?/?")
"""The sources of the registry that cargo uses by itself, as locks name it."""
_DIGEST = re.compile(r"[0-9a-f]{64}")
_MAX_SHOWN = 100


@fields
class BadCargoLock(WorkFailed):
    """A Cargo.lock can't be used; `line` is 0 for all of it."""

    path: str
    line: int
    reason: str
    hint: str

    def text(self) -> tuple[str, str]:
        place = f"{self.path}:{self.line}" if self.line else self.path
        return f"{place}: {self.reason}", self.hint


def crates_of(contents: Contents) -> list[Package]:
    """Return the crates of registries that a project's lock names, in the order of our locks. What is part of the
    project itself has no source there. Raises BadCargoLock and UnsafeName."""
    by_name: dict[tuple[str, str], Package] = {}
    for path, content in contents:
        lock = _Lock(path, content)
        for name, version, source, digest in lock.crates():
            origin = CrateOrigin(CRATES if _CRATES_INDEX.fullmatch(source) else source)
            package = Package(f"{name}@{version}", version, f"sha256:{digest}", origin)
            if by_name.setdefault((name, version), package) != package:
                raise lock.bad(name, f"{name} {version} comes from two registries", "rename one of them")
    return [package for _, package in sorted(by_name.items(), key=lambda item: item[1].name)]


class _Lock:
    def __init__(self, path: str, content: bytes) -> None:
        self._path = path
        self._text = content.decode("utf-8", "replace").replace("\r\n", "\n")
        if len(content) > MAX_BYTES:
            raise self.bad("", f"it is larger than {MAX_BYTES:,} bytes", "")
        try:
            self._plain: dict[str, Any] = tomllib.loads(self._text)
        except (tomllib.TOMLDecodeError, RecursionError) as error:
            reason = "it is nested too deeply" if isinstance(error, RecursionError) else f"it is not TOML: {error}"
            raise self.bad("", reason, "") from None

    def crates(self) -> list[tuple[CrateName, CrateVersion, str, str]]:
        """Return the crates: name, version, source and sha256."""
        packages, metadata = self._plain.get("package", []), self._plain.get("metadata", {})
        version = self._plain.get("version", 1)
        if version not in (1, 2, 3, 4):
            raise self.bad("", f"it has the version {version!r:.20}, and known are 1 to 4", "")
        if not isinstance(packages, list) or len(packages) > MAX_CRATES or not isinstance(metadata, dict):
            raise self.bad("", f"it has no list of packages, or more than {MAX_CRATES:,}", "")
        listed = []
        for item in packages:
            values = [item.get(name) if isinstance(item, dict) else None for name in ("name", "version", "source")]
            name, number, source = values
            if not isinstance(name, str) or not isinstance(number, str) or not isinstance(source, str | None):
                raise self.bad("", "one of its packages has no name and version", "")
            if source is None:
                continue
            if not source.startswith(("registry+", SPARSE)):
                hint = "only crates of a registry can be locked: copy it in, or publish it"
                raise self.bad(name, f"{name[:_MAX_SHOWN]} comes from '{source[:_MAX_SHOWN]}'", hint)
            if not source.startswith(SPARSE) and not _CRATES_INDEX.fullmatch(source):
                hint = f"name the index with the protocol that needs no git: {SPARSE}https://HOST/PATH/"
                raise self.bad(name, f"{name[:_MAX_SHOWN]} is of '{source[:_MAX_SHOWN]}'", hint)
            digest = item.get("checksum") or metadata.get(f"checksum {name} {number} ({source})")
            if not isinstance(digest, str) or not _DIGEST.fullmatch(digest):
                raise self.bad(name, f"the lock has no checksum of {name[:_MAX_SHOWN]}", "")
            listed.append((CrateName(name), CrateVersion(number), source, digest))
        return listed

    def bad(self, name: str, reason: str, hint: str) -> BadCargoLock:
        """Return the error of a package of this name, "" for all of the lock."""
        at = self._text.find(f'\nname = "{name}"\n') if name else -1
        line = self._text.count("\n", 0, at) + 2 if at >= 0 else 0
        return BadCargoLock(self._path, line, reason, hint or "let cargo write it anew: cargo generate-lockfile")
