"""What a lock of maven-lockfile, poms and Maven's settings say."""

from __future__ import annotations

import os

from envbuild.packages.maven_lineage import Lineage
from envbuild.packages.maven_lock import lock_of
from envbuild.packages.maven_names import Coordinates
from envbuild.packages.maven_pom import pom_of
from envbuild.packages.maven_settings import MavenSettings
from tests.fuzz.target import Target, scratch, written

_OWN = Coordinates.of("org.example", "own", "1.0", "pom")


def _check(meant: Coordinates) -> None:
    assert Coordinates.of_name(meant.name) == meant
    assert not meant.path.startswith("/")
    assert not {"", ".", ".."} & set(meant.path.split("/"))


def read_lock(data: bytes) -> None:
    lock = lock_of((("lockfile.json", data),))
    for meant, locked in lock.files.items():
        _check(meant)
        assert locked.origin in lock.origins
    for meant in lock.read:
        _check(meant)


def read_pom(data: bytes) -> None:
    lineage = Lineage([pom_of(data, _OWN)])
    moved = lineage.relocation
    for meant in (*lineage.imports, *lineage.needs(lineage.managed), *([moved] if moved is not None else [])):
        _check(meant)


def read_settings(data: bytes) -> None:
    home = scratch()
    os.makedirs(f"{home}/.m2", exist_ok=True)
    written(data, ".m2/settings.xml")
    settings = MavenSettings(home)
    settings.headers({"central": "https://h.test/maven2"})
    for identifier, address in (("central", ""), ("team", "http://h.test/repo")):
        assert settings.address_of(identifier, address).startswith(("http://", "https://"))


_JSON = (b"{", b"}", b"[", b"]", b",", b":", b'"', b"null")
_XML = (b"<a>", b"</a>", b"<!DOCTYPE a [", b"<!ENTITY x 'y'>", b"&x;", b"<!--", b"-->", b"<![CDATA[", b"]]>", b"${a}")

TARGETS = (
    Target("maven-lock", read_lock, tokens=(*_JSON, b'"included"', b'"boms"', b'"parent"', b"..", b"-SNAPSHOT")),
    Target("maven-pom", read_pom, tokens=(*_XML, b"<parent>", b"<properties>", b"<scope>import</scope>")),
    Target("maven-settings", read_settings, tokens=(*_XML, b"<mirrorOf>", b"external:*", b"<blocked>true</blocked>")),
)
