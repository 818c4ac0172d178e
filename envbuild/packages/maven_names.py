"""Coordinates of Maven's artifacts, and the repositories that they are of, as types that refuse what none has."""

from __future__ import annotations

import re
from dataclasses import dataclass

from envbuild.http.addresses import BadAddress, WebAddress
from envbuild.lockfile.checked_name import CheckedName, UnsafeName

CENTRAL = "central"
"""The id of the repository that Maven uses by itself; where that is, is a matter of the machine."""
JAR, POM = "jar", "pom"
_WHAT = "the coordinates of a Maven artifact"


class GroupId(CheckedName):
    """A group: names with dots between them, each a directory in a repository. Raises UnsafeName."""

    __slots__ = ()
    grammar = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_-]*(?:\.[A-Za-z0-9_][A-Za-z0-9_-]*)*")
    what = "the group of a Maven artifact"


class ArtifactId(CheckedName):
    """An artifact's name (Maven's model validator: letters, digits, `-`, `_` and `.`). Raises UnsafeName."""

    __slots__ = ()
    grammar = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]*")
    what = "the name of a Maven artifact"


class MavenVersion(CheckedName):
    """A version of one artifact, never a range. Raises UnsafeName."""

    __slots__ = ()
    grammar = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.+~-]*")
    what = "the version of a Maven artifact"


class FilePart(CheckedName):
    """A classifier, or the ending of an artifact's file. Raises UnsafeName."""

    __slots__ = ()
    grammar = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]*")
    what = "a classifier or type of a Maven artifact"


class RepositoryId(CheckedName):
    """What Maven's settings call a repository (characters of a file's name). Raises UnsafeName."""

    __slots__ = ()
    grammar = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_. -]*")
    what = "the id of a Maven repository"


class RepositoryOrigin(str):
    """`central`, or `ID+ADDRESS`: the repository that an artifact is of. Raises UnsafeName."""

    __slots__ = ()

    def __new__(cls, text: str) -> RepositoryOrigin:
        if text != CENTRAL:
            identifier, plus, address = text.partition("+")
            RepositoryId(identifier)
            try:
                known = WebAddress(address)
            except BadAddress:
                raise UnsafeName("a Maven repository", text) from None
            # A lock is in git: no password belongs there, and a query would swallow the path that is put behind it.
            if not plus or "@" in known.parts.netloc or known.parts.query or known.parts.fragment:
                raise UnsafeName("a Maven repository", text)
        return super().__new__(cls, text)

    @property
    def id(self) -> str:
        """The repository's id, by which settings name its mirror."""
        return self.partition("+")[0]

    @property
    def address(self) -> str:
        """Its address without a slash at the end, "" for central."""
        return self.partition("+")[2].rstrip("/")


@dataclass(frozen=True, slots=True, order=True)
class Coordinates:
    """One file of a repository: a jar, a pom, or what else `extension` and `classifier` ("" for none) say."""

    group: str
    artifact: str
    version: str
    extension: str = JAR
    classifier: str = ""

    @classmethod
    def of(cls, group: str, artifact: str, version: str, extension: str = JAR, classifier: str = "") -> Coordinates:
        """Return coordinates of checked parts. Raises UnsafeName."""
        if classifier:
            FilePart(classifier)
        return cls(GroupId(group), ArtifactId(artifact), MavenVersion(version), FilePart(extension), classifier)

    @classmethod
    def of_name(cls, name: str) -> Coordinates:
        """Return what a name of our lock means. Raises UnsafeName."""
        head, *kind = name.split("/")
        group, colon, rest = head.partition(":")
        artifact, at, version = rest.partition("@")
        if not colon or not at or len(kind) > 2:
            raise UnsafeName(_WHAT, name)
        meant = cls.of(group, artifact, version, *kind)
        if meant.name != name:  # it has a second spelling
            raise UnsafeName(_WHAT, name)
        return meant

    @property
    def pom(self) -> Coordinates:
        """The pom of the same artifact."""
        return Coordinates(self.group, self.artifact, self.version, POM)

    @property
    def name(self) -> str:
        """What our lock calls it: `GROUP:ARTIFACT@VERSION`, and `/EXTENSION/CLASSIFIER` for what is not a plain jar."""
        head = f"{self.group}:{self.artifact}@{self.version}"
        if self.classifier:
            return f"{head}/{self.extension}/{self.classifier}"
        return head if self.extension == JAR else f"{head}/{self.extension}"

    @property
    def shown(self) -> str:
        """What Maven calls it."""
        return ":".join(filter(None, (self.group, self.artifact, self.extension, self.classifier, self.version)))

    @property
    def folder(self) -> str:
        """The directory of its version in a repository."""
        return f"{self.group.replace('.', '/')}/{self.artifact}/{self.version}"

    @property
    def path(self) -> str:
        """Its path in a repository (Maven's documentation, "Repository Layout")."""
        classifier = f"-{self.classifier}" if self.classifier else ""
        return f"{self.folder}/{self.artifact}-{self.version}{classifier}.{self.extension}"
