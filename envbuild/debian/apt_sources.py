"""The package sources of this machine, as apt is configured (sources.list(5)), and which of them serve a suite."""

from __future__ import annotations

import os

from envbuild.debian.deb822 import checked_stanzas
from envbuild.record import Pairs, Record

FOLDER = "/etc/apt"
DEBIAN_COMPONENTS = ("main", "contrib", "non-free", "non-free-firmware")
_OWN_FIELDS = ("types", "uris", "suites", "components", "enabled", "architectures")
"""Fields that an AptSource has no option for."""
_SUFFIXES = ("", "-updates", "-security", "/updates", "-backports", "-proposed-updates", "-backports-sloppy")


class AptSource(Record):
    """One source of one suite. `options` are deb822 fields such as Signed-By, in the order given."""

    uri: str
    suite: str
    components: tuple[str, ...]
    options: Pairs

    @property
    def is_debian(self) -> bool:
        """Whether it looks like one of Debian's own archives: by its components and its key, or without a key
        by its path. Other vendors' sources often have a suite of the same name."""
        if not self.components or any(component not in DEBIAN_COMPONENTS for component in self.components):
            return False
        keys = " ".join(value for name, value in self.options if name.lower() == "signed-by")
        if keys:
            return "debian-archive" in keys
        return any(part.startswith("debian") for part in self.uri.partition("://")[2].split("/")[1:])

    @property
    def is_local(self) -> bool:
        """Whether its packages lie on this machine, where a sandbox can't see them."""
        return self.uri.startswith(("file:", "copy:", "cdrom:", "mirror+file:"))


def machine_sources(root: str = "") -> list[AptSource]:
    """Return all sources of binary packages that are configured and enabled."""
    paths = [f"{root}{FOLDER}/sources.list"]
    folder = f"{root}{FOLDER}/sources.list.d"
    if os.path.isdir(folder):
        paths += [f"{folder}/{name}" for name in sorted(os.listdir(folder)) if name.endswith((".list", ".sources"))]
    sources: list[AptSource] = []
    for path in paths:
        try:
            with open(path, encoding="utf-8", errors="replace") as file:
                text = file.read()
        except OSError:
            continue
        sources += parse_deb822(text) if path.endswith(".sources") else parse_lines(text)
    return sources


def sources_for(suite: str, sources: list[AptSource]) -> list[AptSource]:
    """Return the sources that make up a Debian suite: itself, its updates and its security updates.

    Where none is configured for this suite, but a Debian archive for another one, that archive is asked for it.
    """
    debian = [source for source in sources if source.is_debian]
    wanted = {suite, f"{suite}-updates", f"{suite}-security", f"{suite}/updates"}
    chosen = [source for source in debian if source.suite in wanted]
    if any(source.suite == suite for source in chosen):
        return _unique(chosen)
    plain = [source for source in debian if not _is_addition(source.suite)]
    # Other suites may lack what came later, such as non-free-firmware.
    return [plain[0].replace(suite=suite, components=("main",))] if plain else []


def parse_lines(text: str) -> list[AptSource]:
    """Return the sources of a text in the one-line form: `deb [option=value ...] URI SUITE COMPONENT ...`."""
    sources = []
    for line in text.splitlines():
        words = line.partition("#")[0].split()
        if not words or words[0] != "deb":
            continue
        options: list[tuple[str, str]] = []
        rest = words[1:]
        if rest and rest[0].startswith("["):
            end = next((at for at, word in enumerate(rest) if word.endswith("]")), len(rest) - 1)
            for word in " ".join(rest[: end + 1]).strip("[]").split():
                name, _, value = word.partition("=")
                options.append((_DEB822.get(name, name), value.replace(",", " ")))
            rest = rest[end + 1 :]
        if len(rest) >= 2:
            sources.append(AptSource(rest[0], rest[1], tuple(rest[2:]), tuple(options)))
    return sources


def parse_deb822(text: str) -> list[AptSource]:
    """Return the sources of a text in stanzas: `Types:`, `URIs:`, `Suites:`, `Components:` and options."""
    sources = []
    for stanza in checked_stanzas(text):
        fields = stanza.fields
        if "deb" not in fields.get("types", "").split() or fields.get("enabled", "yes") == "no":
            continue
        options = tuple((stanza.spelling[name], value) for name, value in fields.items() if name not in _OWN_FIELDS)
        components = tuple(fields.get("components", "").split())
        for uri in fields.get("uris", "").split():
            for suite in fields.get("suites", "").split():
                sources.append(AptSource(uri, suite, components, options))
    return sources


def to_deb822(sources: list[AptSource], types: str = "deb") -> str:
    """Return the sources as the text of a `.sources` file."""
    stanzas = []
    for source in sources:
        lines = [f"Types: {types}", f"URIs: {source.uri}", f"Suites: {source.suite}"]
        if source.components:
            lines.append(f"Components: {' '.join(source.components)}")
        lines += [f"{name}: {value}".replace("\n", "\n ") for name, value in source.options]
        stanzas.append("\n".join(lines) + "\n")
    return "\n".join(stanzas)


_DEB822 = {"signed-by": "Signed-By", "trusted": "Trusted", "check-valid-until": "Check-Valid-Until"}


def _is_addition(suite: str) -> bool:
    return any(suffix and suite.endswith(suffix) for suffix in _SUFFIXES)


def _unique(sources: list[AptSource]) -> list[AptSource]:
    return list(dict.fromkeys(sources))
