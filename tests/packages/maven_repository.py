"""A repository of Maven on loopback, and locks of maven-lockfile for what lies in it."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable
from pathlib import Path

from envbuild.packages.maven_names import Coordinates
from tests.packages.conftest import Server


class MavenRepository:
    """A repository below a path of a server."""

    def __init__(self, server: Server, path: str = "/maven2") -> None:
        self._server = server
        self._path = path
        self.address = f"{server.address}{path}"

    def add(self, group: str, artifact: str, version: str, content: bytes = b"jar", pom: str = "") -> None:
        """Put a jar and its pom into it; `pom` is what stands in the project beside its coordinates."""
        meant = Coordinates.of(group, artifact, version)
        self.put(meant, content)
        self.put(meant.pom, pom_text(group, artifact, version, pom))

    def put(self, meant: Coordinates, content: bytes) -> None:
        """Put one file into it."""
        self._server.files[f"{self._path}/{meant.path}"] = content

    def get(self, meant: Coordinates) -> bytes:
        """Return one file of it."""
        return self._server.files[f"{self._path}/{meant.path}"]

    def add_folder(self, folder: Path) -> None:
        """Put all files of a folder into it, such as /usr/share/maven-repo."""
        for path in folder.rglob("*"):
            if path.is_file():
                self._server.files[f"{self._path}/{path.relative_to(folder)}"] = path.read_bytes()

    def node(self, meant: Coordinates, children: Iterable[dict] = (), **changed: object) -> dict:
        """Return what a lock says of a dependency."""
        known = {
            "groupId": meant.group,
            "artifactId": meant.artifact,
            "version": meant.version,
            "checksumAlgorithm": "SHA-256",
            "checksum": hashlib.sha256(self.get(meant)).hexdigest(),
            "scope": "compile",
            "resolved": f"{self.address}/{meant.path}",
            "repositoryId": "central",
            "selectedVersion": meant.version,
            "included": True,
            "id": f"{meant.group}:{meant.artifact}:{meant.version}",
            "children": list(children),
        }
        if meant.classifier:
            known["classifier"] = meant.classifier
        return {name: value for name, value in {**known, **changed}.items() if value is not None}

    def settings(self) -> str:
        """Return the settings that have Maven use it in place of central."""
        mirror = f"<id>mine</id><mirrorOf>central</mirrorOf><url>{self.address}/</url>"
        return f"<settings><mirrors><mirror>{mirror}</mirror></mirrors></settings>"


def pom_text(group: str, artifact: str, version: str, inside: str = "") -> bytes:
    """Return a pom."""
    names = f"<groupId>{group}</groupId><artifactId>{artifact}</artifactId><version>{version}</version>"
    return f"<project><modelVersion>4.0.0</modelVersion>{names}{inside}</project>".encode()


def lock_text(dependencies: Iterable[dict], plugins: Iterable[dict] = (), **others: object) -> str:
    """Return the lock of a project."""
    known = {
        "artifactId": "app",
        "groupId": "org.example",
        "version": "1.0.0",
        "pom": {"groupId": "org.example", "artifactId": "app", "version": "1.0.0", "relativePath": "pom.xml"},
        "lockFileVersion": 1,
        "dependencies": list(dependencies),
        "mavenPlugins": list(plugins),
        "mavenExtensions": [],
        "metaData": {"config": {"checksumAlgorithm": "SHA-256"}},
    }
    return json.dumps({**known, **others}, indent=2)


def jars_of(folder: Path) -> list[Coordinates]:
    """Return the plain jars of a local repository, as Maven has filled it."""
    jars = []
    for path in sorted(folder.rglob("*.jar")):
        *group, artifact, version, file = path.relative_to(folder).parts
        classifier = file.removeprefix(f"{artifact}-{version}").removesuffix(".jar").removeprefix("-")
        jars.append(Coordinates.of(".".join(group), artifact, version, "jar", classifier))
    return jars
