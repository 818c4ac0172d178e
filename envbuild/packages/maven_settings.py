"""Where Maven's settings say that repositories are: mirrors, and users of servers (Maven's "Settings Reference").

The user's ~/.m2/settings.xml stands before those of this machine's Maven; where central is without a mirror, the
installed Maven itself says, in the pom that stands above all others.
"""

from __future__ import annotations

import base64
import os
import zipfile
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from glob import glob

from envbuild.errors import MachineLacks, fields
from envbuild.http.addresses import BadAddress, WebAddress
from envbuild.linux.subids import find_program
from envbuild.packages.credentials import Headers
from envbuild.packages.documents import BadDocument
from envbuild.packages.maven_names import CENTRAL
from envbuild.packages.plain_xml import MAX_BYTES, Element, root_of

_SUPER_POMS = ("org/apache/maven/model/pom-4.0.0.xml", "org/apache/maven/model/pom-4.1.0.xml")
_LOCAL = ("localhost", "127.0.0.1")


@fields
class NoMavenRepository(MachineLacks):
    """Nothing on this machine says where a repository of Maven is."""

    reason: str

    def text(self) -> tuple[str, str]:
        return (
            f"maven: {self.reason}",
            "name a mirror in ~/.m2/settings.xml: <mirror> with <id>, <mirrorOf>central</mirrorOf> and "
            "<url>https://HOST/PATH</url>; or install maven, whose default is then used: apt-get install maven",
        )


@dataclass(frozen=True, slots=True)
class _Mirror:
    """A repository that is asked in the place of those that `of` describes."""

    id: str
    of: str
    url: str
    blocked: bool

    def fits(self, identifier: str, address: str) -> bool:
        """Return whether it stands for a repository (Maven's guide, "Using Mirrors for Repositories")."""
        fits = False
        for pattern in map(str.strip, self.of.split(",")):
            if pattern == f"!{identifier}":
                return False
            fits = (
                fits
                or pattern in ("*", identifier)
                or (pattern.startswith("external:") and _is_external(address, pattern.removeprefix("external:")))
            )
        return fits


def _is_external(address: str, pattern: str) -> bool:
    """Return whether a repository is on another machine; with the pattern `http:*`, one without encryption."""
    try:
        known = WebAddress(address)
    except BadAddress:
        return True  # central, before anybody said where it is
    return known.host not in _LOCAL and (pattern == "*" or (pattern == "http:*" and known.parts.scheme == "http"))


class MavenSettings:
    """The settings of one user on this machine."""

    def __init__(self, home: str) -> None:
        self._home = home

    def address_of(self, identifier: str, address: str) -> str:
        """Return the address of a repository without a slash at the end: that of its mirror, else its own. `address`
        is "" for central. Raises NoMavenRepository."""
        address = address or self._default
        mirror = next((mirror for mirror in self._mirrors if mirror.of == identifier), None) or next(
            (mirror for mirror in self._mirrors if mirror.fits(identifier, address)), None
        )
        if mirror is not None and mirror.blocked:
            raise NoMavenRepository(f"the mirror '{mirror.id[:60]}' blocks the repository '{identifier}'")
        chosen = mirror.url if mirror is not None else address
        if not chosen:
            raise NoMavenRepository("this machine has no mirror of central configured, and no Maven that names it")
        try:
            return WebAddress(chosen.rstrip("/"))
        except BadAddress:
            raise NoMavenRepository(f"'{chosen[:100]}' is not the address of a repository") from None

    def headers(self, repositories: dict[str, str]) -> Headers:
        """Return the headers for servers with users: those of mirrors, and of `repositories` by their ids. Passwords
        that Maven has encrypted, or takes from its environment, are left out."""
        addresses = {**repositories, **{mirror.id: mirror.url for mirror in self._mirrors if not mirror.blocked}}
        headers = []
        for root in self._files:
            for server in root.all("servers", "server"):
                address = addresses.get(server.text_of("id"), "").rstrip("/")
                user, password = server.text_of("username"), server.text_of("password")
                if address and user and not any("${" in text or text[:1] == "{" for text in (user, password)):
                    basic = base64.b64encode(f"{user}:{password}".encode()).decode()
                    headers.append((f"{address}/", "Authorization", f"Basic {basic}"))
        return tuple(headers)

    @cached_property
    def _files(self) -> list[Element]:
        """The settings, the user's first. Raises NoMavenRepository for one that can't be read."""
        paths = [f"{self._home}/.m2/settings.xml"]
        if self._maven:
            paths.append(f"{self._maven}/conf/settings.xml")
        roots = []
        for path in paths:
            try:
                with open(path, "rb") as file:
                    roots.append(root_of(file.read(MAX_BYTES + 1), path))
            except (FileNotFoundError, NotADirectoryError):
                continue
            except OSError as error:
                raise NoMavenRepository(f"{path} can't be read: {error.strerror}") from error
            except BadDocument as error:
                raise NoMavenRepository(error.message) from error
        return roots

    @cached_property
    def _mirrors(self) -> list[_Mirror]:
        return [
            _Mirror(
                item.text_of("id"), item.text_of("mirrorOf"), item.text_of("url"), item.text_of("blocked") == "true"
            )
            for root in self._files
            for item in root.all("mirrors", "mirror")
        ]

    @cached_property
    def _default(self) -> str:
        """Where central is without a mirror: as an active profile of the settings says, else this machine's Maven; ""
        if none does."""
        for root in self._files:
            for profile in _active_profiles(root):
                for repository in profile.all("repositories", "repository"):
                    if repository.text_of("id") == CENTRAL:
                        return repository.text_of("url")
        return _central_of(self._maven) if self._maven else ""

    @cached_property
    def _maven(self) -> str:
        """The directory of this machine's Maven, "" without one."""
        program = find_program("mvn")
        return os.path.dirname(os.path.dirname(os.path.realpath(program))) if program is not None else ""


def _active_profiles(root: Element) -> Iterator[Element]:
    active = {item.text.strip() for item in root.all("activeProfiles", "activeProfile")}
    for profile in root.all("profiles", "profile"):
        if profile.text_of("id") in active or profile.text_of("activation", "activeByDefault") == "true":
            yield profile


def _central_of(maven: str) -> str:
    """Return where an installed Maven has central, "" if it doesn't say."""
    for path in sorted(glob(f"{maven}/lib/maven-model-builder-*.jar")):
        for name in _SUPER_POMS:
            try:
                with zipfile.ZipFile(path) as archive, archive.open(name) as file:
                    root = root_of(file.read(MAX_BYTES + 1), path)
            except (OSError, KeyError, zipfile.BadZipFile, zlib.error, NotImplementedError, RuntimeError, BadDocument):
                continue
            for repository in root.all("repositories", "repository"):
                if repository.text_of("id") == CENTRAL:
                    return repository.text_of("url")
    return ""
