"""lockfile.json of the plugin maven-lockfile: the artifacts and poms that a project is built of, with their hashes.

It has trees of dependencies: of the project, of each plugin and of each extension (`children`), where `included` says
whether Maven chose this version. Each may name the pom above its own (`parentPom`) and the poms that this one imports
(`boms`); so does the project's own `pom`. The source is the plugin's own code, data/LockFile and graph/DependencyNode.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass, field
from typing import Any

from envbuild.errors import WorkFailed, fields
from envbuild.packages.manager import Contents
from envbuild.packages.maven_names import CENTRAL, JAR, POM, Coordinates, RepositoryOrigin

MAX_BYTES = 32 << 20
MAX_NODES = 200_000
"""Dependencies, plugins and poms in all of a lock: that of a large project has 5,000."""
_ALGORITHMS = {"SHA-256": "sha256", "SHA-384": "sha384", "SHA-512": "sha512"}
_DIGITS = {"sha256": 64, "sha384": 96, "sha512": 128}
_HEXADECIMAL = re.compile(r"[0-9a-f]+")
_SNAPSHOT = "-SNAPSHOT"
_FILES = {
    "maven-plugin": (JAR, ""),
    "ejb": (JAR, ""),
    "bundle": (JAR, ""),
    "test-jar": (JAR, "tests"),
    "ejb-client": (JAR, "client"),
    "java-source": (JAR, "sources"),
    "javadoc": (JAR, "javadoc"),
}
"""The ending and the classifier of types whose files are not called after them (Maven's documentation, "Default
Artifact Handlers")."""
_NOT_RUN = ("provided", "test", "system")
"""Scopes of a plugin's dependencies that Maven has itself when it runs the plugin."""
_MAX_SHOWN = 100


@fields
class BadMavenLock(WorkFailed):
    """A lockfile.json can't be used; `line` is 0 for all of it."""

    path: str
    line: int
    reason: str
    hint: str

    def text(self) -> tuple[str, str]:
        place = f"{self.path}:{self.line}" if self.line else self.path
        hint = "let the plugin write it anew: mvn io.github.chains-project:maven-lockfile:generate"
        return f"{place}: {self.reason}", self.hint or hint


@dataclass(frozen=True, slots=True)
class Locked:
    """What a lock says of a file: its hash (`sha256:...`), "" where it has none, and where it is from."""

    hash: str
    origin: RepositoryOrigin


@dataclass(slots=True)
class MavenLock:
    """What locks say: the files with their hashes, and the poms that Maven reads to know what artifacts need, of which
    a lock has no hash itself (`read`)."""

    files: dict[Coordinates, Locked] = field(default_factory=dict)
    read: dict[Coordinates, RepositoryOrigin] = field(default_factory=dict)

    @property
    def origins(self) -> set[str]:
        """The repositories that the locks name, and central."""
        return {CENTRAL, *(locked.origin for locked in self.files.values()), *self.read.values()}


def lock_of(contents: Contents) -> MavenLock:
    """Return what the lock of a project says. Raises BadMavenLock and UnsafeName."""
    lock = MavenLock()
    for path, content in contents:
        _Reader(path, content, lock).read()
    return lock


class _Reader:
    def __init__(self, path: str, content: bytes, lock: MavenLock) -> None:
        self._path = path
        self._text = content.decode("utf-8", "replace")
        self._lock = lock
        self._left = MAX_NODES
        if len(content) > MAX_BYTES:
            raise self._bad("", f"it is larger than {MAX_BYTES:,} bytes")
        try:
            self._plain: Any = json.loads(self._text)
        except (ValueError, RecursionError) as error:
            reason = "it is nested too deeply" if isinstance(error, RecursionError) else f"it is not JSON: {error}"
            raise self._bad("", reason) from None

    def read(self) -> None:
        """Add all that the lock names to what is known."""
        lock = self._plain
        if not isinstance(lock, dict) or "dependencies" not in lock:
            raise self._bad("", "it has no dependencies, so it is not a lock of maven-lockfile")
        if lock.get("lockFileVersion", 1) != 1:
            raise self._bad("", f"it has the version {lock['lockFileVersion']!r:.20}, and known is 1")
        self._own_pom(lock.get("pom"))
        self._poms(lock, "boms")
        self._nodes(lock, "dependencies", ("system",))
        for kind in ("mavenPlugins", "mavenExtensions"):
            for component in self._list(lock, kind):
                self._artifact(component, is_chosen=True)
                self._nodes(component, "dependencies", _NOT_RUN)

    def _nodes(self, above: dict[str, Any], name: str, unused: tuple[str, ...]) -> None:
        """Read trees of dependencies. Of those with a scope of `unused`, and of versions that Maven did not choose,
        only the poms are needed."""
        waiting = self._list(above, name)
        while waiting:
            node = waiting.pop()
            scope, chosen = node.get("scope"), node.get("included", True)
            if scope != "system":  # that is a file of the machine, and of no repository
                self._artifact(node, is_chosen=chosen is not False and scope not in unused)
            waiting += self._list(node, "children")

    def _artifact(self, node: dict[str, Any], *, is_chosen: bool) -> None:
        kind = node.get("type") or JAR
        extension, classifier = _FILES.get(kind, (kind, ""))
        meant = self._coordinates(node, extension, node.get("classifier") or classifier)
        for pom in self._list(node, "parentPom"):
            self._pom(pom)
        self._poms(node, "boms")
        if self._is_own(node):
            return
        origin = self._origin(node, meant)
        self._lock.read.setdefault(meant.pom, origin)
        if is_chosen:
            self._add(node, meant, origin)

    def _own_pom(self, pom: object) -> None:
        """Read what the project's own pom, and those of the project above it, need from elsewhere."""
        for item in [pom] if isinstance(pom, dict) else ():
            here: Any = item
            while isinstance(here, dict) and here.get("relativePath"):
                self._poms(here, "boms")
                here = here.get("parent")
            if isinstance(here, dict):
                self._pom(here)

    def _poms(self, above: dict[str, Any], name: str) -> None:
        for pom in self._list(above, name):
            self._pom(pom)

    def _pom(self, pom: dict[str, Any]) -> None:
        """Read a pom of a repository, with the poms above it."""
        waiting = [pom]
        while waiting:
            item = waiting.pop()
            waiting += self._list(item, "parent") + self._list(item, "boms")
            if item.get("relativePath") or self._is_own(item):
                continue
            meant = self._coordinates(item, POM, "")
            origin = self._origin(item, meant)
            self._lock.read.setdefault(meant, origin)
            if item.get("checksum"):
                self._add(item, meant, origin)

    def _add(self, item: dict[str, Any], meant: Coordinates, origin: RepositoryOrigin) -> None:
        shown = meant.shown[:_MAX_SHOWN]
        name, digest = item.get("checksumAlgorithm"), item.get("checksum")
        if not isinstance(digest, str) or not digest:
            raise self._bad(meant.artifact, f"the lock has no checksum of {shown}")
        algorithm = _ALGORITHMS.get(name) if isinstance(name, str) else None
        if algorithm is None:
            hint = "write it with: mvn io.github.chains-project:maven-lockfile:generate -DchecksumAlgorithm=SHA-256"
            raise self._bad(meant.artifact, f"the checksum of {shown} is of {name!r:.20}, not of SHA-256", hint)
        if len(digest) != _DIGITS[algorithm] or not _HEXADECIMAL.fullmatch(digest):
            raise self._bad(meant.artifact, f"'{digest[:_MAX_SHOWN]}' is not a checksum of {name}")
        if meant.version.endswith(_SNAPSHOT):
            hint = "depend on a release: what a snapshot's name means changes from day to day"
            raise self._bad(meant.artifact, f"{shown} is a snapshot", hint)
        locked = Locked(f"{algorithm}:{digest}", origin)
        if self._lock.files.setdefault(meant, locked).hash != locked.hash:
            raise self._bad(meant.artifact, f"{shown} has two checksums")

    def _origin(self, item: dict[str, Any], meant: Coordinates) -> RepositoryOrigin:
        """Return the repository that an artifact came from: its address is what stands before the artifact's path."""
        identifier, address = item.get("repositoryId") or CENTRAL, item.get("resolved") or ""
        if identifier == CENTRAL or not address:
            return RepositoryOrigin(CENTRAL)
        if not isinstance(identifier, str) or not isinstance(address, str):
            raise self._bad(meant.artifact, f"{meant.shown[:_MAX_SHOWN]} has no address as a text")
        base = address.removesuffix(f"/{meant.path}").removesuffix(f"/{meant.pom.path}")
        if base == address:
            reason = f"'{address[:_MAX_SHOWN]}' is not where a repository has {meant.shown[:_MAX_SHOWN]}"
            raise self._bad(meant.artifact, reason)
        return RepositoryOrigin(f"{identifier}+{base}")

    def _is_own(self, item: dict[str, Any]) -> bool:
        """Return whether this is a module of the project itself, of which the plugin writes no checksum."""
        return not item.get("checksum") and str(item.get("version")).endswith(_SNAPSHOT)

    def _coordinates(self, item: dict[str, Any], extension: object, classifier: object) -> Coordinates:
        values = [*(item.get(name) for name in ("groupId", "artifactId", "version")), extension, classifier]
        texts = [value for value in values if isinstance(value, str)]
        if len(texts) != len(values):
            artifact = item.get("artifactId")
            raise self._bad(artifact if isinstance(artifact, str) else "", "an artifact lacks its coordinates")
        return Coordinates.of(*texts)

    def _list(self, above: dict[str, Any], name: str) -> list[dict[str, Any]]:
        """Return the objects of a field: of a list, or the only one; none where it is missing."""
        value = above.get(name)
        items = [] if value is None else value if isinstance(value, list) else [value]
        self._left -= len(items)
        if self._left < 0:
            raise self._bad("", f"it names more than {MAX_NODES:,} artifacts and poms")
        if not all(isinstance(item, dict) for item in items):
            raise self._bad("", f"'{name}' is not a list of objects")
        return items

    def _bad(self, artifact: str, reason: str, hint: str = "") -> BadMavenLock:
        """Return the error of an artifact of this name, "" for all of the lock."""
        found_at = re.search(rf'"artifactId"\s*:\s*"{re.escape(artifact)}"', self._text) if artifact else None
        line = self._text.count("\n", 0, found_at.start()) + 1 if found_at else 0
        return BadMavenLock(self._path, line, reason, hint)
