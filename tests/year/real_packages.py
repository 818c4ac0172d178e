"""Real packages of Debian, as this machine's mirror has them: each in all versions that there are."""

from __future__ import annotations

import functools
import os
import subprocess
from dataclasses import dataclass
from pathlib import Path

from envbuild.debian.apt_sources import machine_sources, sources_for, to_deb822
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
    """Packages of a suite, its updates and its security updates, with all that these depend on."""

    def __init__(self, folder: Path, suite: str, wanted: tuple[str, ...], minimal: tuple[str, ...] = MINIMAL) -> None:
        self._folder = folder
        for name in ("lists/partial", "cache/archives/partial", "files"):
            (folder / name).mkdir(parents=True)
        (folder / "debian.sources").write_text(to_deb822(sources_for(suite, machine_sources())))
        settings = {
            "Dir::State": folder,
            "Dir::State::Lists": folder / "lists",
            "Dir::State::status": "/dev/null",
            "Dir::Cache": folder / "cache",
            "Dir::Etc::SourceParts": "/dev/null",
            "Dir::Etc::SourceList": folder / "debian.sources",
            "APT::Install-Recommends": "false",
            "APT::Sandbox::User": "",
            "APT::Update::Post-Invoke-Success": "",
            "APT::Update::Post-Invoke": "",
            "Acquire::Languages": "none",
        }
        (folder / "apt.conf").write_text("".join(f'{name} "{value}";\n' for name, value in settings.items()))
        self._apt("apt-get", "-qq", "update")
        lines = self._apt("apt-get", "-qq", "--print-uris", "install", *minimal, *wanted).splitlines()
        names = sorted({line.split()[1].partition("_")[0] for line in lines})
        found: dict[tuple[str, str], Deb] = {}
        for text in self._apt("apt-cache", "show", *names).strip().split("\n\n"):
            deb = self._deb(text)
            found.setdefault((deb.name, deb.version), deb)
        self._apt("apt-get", "-qq", "download", *(f"{name}={version}" for name, version in found))
        self.versions: dict[str, list[Deb]] = {}
        """Of each name, the oldest first."""
        for deb in found.values():
            self.versions.setdefault(deb.name, []).append(deb)
        for debs in self.versions.values():
            debs.sort(key=functools.cmp_to_key(_compared))

    def _deb(self, text: str) -> Deb:
        (fields,) = stanzas(text)
        name, version, path = fields["package"], fields["version"], fields["filename"]
        file = f"{name}_{version.replace(':', '%3a')}_{fields['architecture']}.deb"
        source = fields.get("source", name).partition(" ")[0]
        return Deb(name, version, source, text.strip(), path, fields["sha256"], self._folder / "files" / file)

    def _apt(self, *words: str) -> str:
        done = subprocess.run(
            words,
            cwd=self._folder / "files",
            env={**os.environ, "APT_CONFIG": str(self._folder / "apt.conf"), "LC_ALL": "C"},
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        return done.stdout


def _compared(one: Deb, other: Deb) -> int:
    def is_so(relation: str) -> bool:
        words = ["dpkg", "--compare-versions", one.version, relation, other.version]
        return subprocess.run(words, check=False).returncode == 0

    return -1 if is_so("lt") else int(is_so("gt"))
