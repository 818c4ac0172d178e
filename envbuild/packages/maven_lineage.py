"""A pom with those above it: what its references to properties mean, and so what it imports, needs and has become."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence

from envbuild.lockfile.checked_name import UnsafeName
from envbuild.packages.maven_names import POM, Coordinates
from envbuild.packages.maven_pom import MAX_VALUE, Pom, Texts

MAX_REFERENCES = 100
"""References that one value may lead to: `${a}` of `${b}${b}`, of `${c}${c}`, and so on, is a bomb."""
_REFERENCE = re.compile(r"\$\{([^${}]{1,200})\}")

Versions = Mapping[tuple[str, str], str]
"""The versions that poms manage, by group and name."""


class Lineage:
    """A pom, the one above it, and so on. What it leaves to a profile, or to nothing, is left out of all answers."""

    def __init__(self, poms: Sequence[Pom]) -> None:
        self._poms = poms
        self._own = poms[0]
        self._properties: dict[str, str] = {}
        for pom in reversed(poms):
            self._properties |= pom.properties
        for prefix in ("project.", "pom.", ""):
            self._properties |= _values_of(prefix, self._own.meant)
            if self._own.parent is not None:
                self._properties |= _values_of(f"{prefix}parent.", self._own.parent)

    @property
    def imports(self) -> list[Coordinates]:
        """The poms that it imports. What it says itself stands before what those above it say."""
        chosen: dict[tuple[str, str], Coordinates] = {}
        for pom in self._poms:
            for texts in pom.imports:
                meant = self._coordinates(texts)
                if meant is not None:
                    chosen.setdefault((meant.group, meant.artifact), meant)
        return list(chosen.values())

    @property
    def managed(self) -> dict[tuple[str, str], str]:
        """The versions that it manages, without those that it imports."""
        versions: dict[tuple[str, str], str] = {}
        for pom in self._poms:
            for texts in pom.managed:
                group, artifact, version = map(self._filled_in, texts)
                versions.setdefault((group, artifact), version)
        return versions

    def needs(self, managed: Versions) -> Iterator[Coordinates]:
        """Yield the poms of what it needs when it is used; `managed` has the versions that it does not say itself."""
        for pom in self._poms:
            for group, artifact, version in pom.needs:
                named = self._filled_in(group), self._filled_in(artifact)
                meant = self._coordinates((*named, version or managed.get(named, "")))
                if meant is not None:
                    yield meant

    @property
    def relocation(self) -> Coordinates | None:
        """The pom of what it has become, None if it is still itself."""
        if self._own.relocation is None:
            return None
        group, artifact, version = self._own.relocation
        own = self._own.meant
        meant = self._coordinates((group or own.group, artifact or own.artifact, version or own.version))
        return meant if meant != own else None

    def _coordinates(self, texts: Texts) -> Coordinates | None:
        group, artifact, version = map(self._filled_in, texts)
        try:
            return Coordinates.of(group, artifact, version, POM)
        except UnsafeName:
            return None

    def _filled_in(self, text: str) -> str:
        """Return a text with the values of what it refers to; what refers to nothing stays as it is."""
        for _ in range(MAX_REFERENCES):
            match = _REFERENCE.search(text)
            if match is None or match[1] not in self._properties or len(text) > MAX_VALUE:
                break
            text = text[: match.start()] + self._properties[match[1]] + text[match.end() :]
        return text


def _values_of(prefix: str, meant: Coordinates) -> dict[str, str]:
    return {
        f"{prefix}groupId": meant.group,
        f"{prefix}artifactId": meant.artifact,
        f"{prefix}version": meant.version,
    }
