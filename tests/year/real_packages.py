"""Real packages of Debian, as this machine's mirror has them: each in all versions that there are."""

from __future__ import annotations

import functools
import hashlib
import os
import re
import subprocess
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from envbuild.debian.apt_sources import AptSource, machine_sources, sources_for, to_deb822
from envbuild.debian.deb822 import stanzas

MINIMAL = ("?essential", "?priority(required)", "apt")
"""What a minimal Debian has."""


@dataclass(frozen=True)
class Deb:
    """A package in one version: what an index says of it, and its file on this machine."""

    name: str
    version: str
    source: str
    stanza: str
    path: str
    sha256: str
    file: Path


class RealPackages:
    """Packages of a suite, its updates and its security updates, with all that these depend on. Of each there are all
    versions that the mirror has, the oldest first; with `newest`, which takes half the time, only that."""

    def __init__(
        self,
        folder: Path,
        suite: str,
        wanted: tuple[str, ...],
        minimal: tuple[str, ...] = MINIMAL,
        newest: bool = False,
    ) -> None:
        self._folder = folder
        self._files = folder / "cache/archives"
        for name in ("lists/partial", "cache/archives/partial"):
            (folder / name).mkdir(parents=True)
        (folder / "debian.sources").write_text(to_deb822(_sources_of(suite)))
        settings = {
            "Dir::State": folder,
            "Dir::State::Lists": folder / "lists",
            "Dir::State::status": "/dev/null",
            "Dir::Cache": folder / "cache",
            # Images for containers switch both off, and apt reads a large index again for each command.
            "Dir::Cache::pkgcache": "pkgcache.bin",
            "Acquire::GzipIndexes": "false",
            "Dir::Etc::SourceParts": "/dev/null",
            "Dir::Etc::SourceList": folder / "debian.sources",
            "APT::Install-Recommends": "false",
            "APT::Sandbox::User": "",
            "APT::Keep-Downloaded-Packages": "true",
            "APT::Update::Post-Invoke-Success": "",
            "APT::Update::Post-Invoke": "",
            "Acquire::Languages": "none",
            "Debug::NoLocking": "true",
        }
        (folder / "apt.conf").write_text("".join(f'{name} "{value}";\n' for name, value in settings.items()))
        self._apt("apt-get", "-qq", "update")
        self._apt("apt-get", "-qq", "--yes", "--download-only", "install", *minimal, *wanted)
        names = sorted({file.name.partition("_")[0] for file in self._files.glob("*.deb")})
        if not newest:
            self._fetch_all_versions(names)
        self.versions: dict[str, list[Deb]] = {}
        for deb in self._fetched(names):
            self.versions.setdefault(deb.name, []).append(deb)
        for debs in self.versions.values():
            debs.sort(key=functools.cmp_to_key(_compared))

    def _fetch_all_versions(self, names: list[str]) -> None:
        listed = self._apt("apt-cache", "madison", *names).splitlines()
        wanted = {tuple(map(str.strip, line.split("|")[:2])) for line in listed if "Packages" in line}
        self._apt("apt-get", "-qq", "download", *(f"{name}={version}" for name, version in wanted))

    def _fetched(self, names: list[str]) -> Iterator[Deb]:
        """Return the packages that have been fetched, as the archive's index has them: its priorities are others than
        those in the files."""
        files = {_version_of(file): file for file in self._files.glob("*.deb")}
        for text in self._apt("apt-cache", "show", *names).strip().split("\n\n"):
            (fields,) = stanzas(text)
            file = files.pop((fields["package"], fields["version"]), None)
            if file is not None:
                yield Deb(*_names(fields), text.strip(), fields["filename"], fields["sha256"], file)

    def _apt(self, *words: str) -> str:
        done = subprocess.run(
            words,
            cwd=self._files,
            env={**os.environ, "APT_CONFIG": str(self._folder / "apt.conf"), "LC_ALL": "C"},
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        return done.stdout


def _sources_of(suite: str) -> list[AptSource]:
    """Return this machine's sources of Debian, for another suite too with its updates and its security updates."""
    sources = [source for source in machine_sources() if source.is_debian]
    own = {source.suite for source in sources}
    of_suite = [source.replace(suite=re.sub("^[a-z]+", suite, source.suite)) for source in sources]
    return sources_for(suite, sources if suite in own else of_suite)


def read(file: Path) -> Deb:
    """A package that was made by hand, as an index has it."""
    control = subprocess.run(["dpkg-deb", "-f", str(file)], check=True, capture_output=True, text=True).stdout.strip()
    (fields,) = stanzas(control)
    name, version, source = _names(fields)
    path = f"pool/main/{source[0]}/{source}/{name}_{version}_{fields['architecture']}.deb"
    digest = hashlib.sha256(file.read_bytes()).hexdigest()
    stanza = f"{control}\nFilename: {path}\nSize: {file.stat().st_size}\nSHA256: {digest}"
    return Deb(name, version, source, stanza, path, digest, file)


def _names(fields: Mapping[str, str]) -> tuple[str, str, str]:
    return fields["package"], fields["version"], fields.get("source", fields["package"]).partition(" ")[0]


def _version_of(file: Path) -> tuple[str, str]:
    name, version, _ = file.name.split("_")
    return name, version.replace("%3a", ":")


def _compared(package: Deb, other: Deb) -> int:
    def is_so(relation: str) -> bool:
        words = ["dpkg", "--compare-versions", package.version, relation, other.version]
        return subprocess.run(words, check=False).returncode == 0

    return -1 if is_so("lt") else int(is_so("gt"))
