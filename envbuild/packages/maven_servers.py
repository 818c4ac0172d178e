"""Where this machine gets Maven's artifacts from: the repositories of a project's lock, by the user's settings."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor

from urllib3.exceptions import HTTPError

from envbuild.http.addresses import without_user
from envbuild.http.connections import MAX_PARALLEL, cause
from envbuild.lockfile.lock import Package
from envbuild.packages.cache import Address
from envbuild.packages.credentials import Headers, headers_of
from envbuild.packages.errors import Unresolved, WrongHash
from envbuild.packages.lock_tools import renewal_of
from envbuild.packages.locked_servers import LockedServers
from envbuild.packages.manager import Contents, ManagerSettings, Resolution
from envbuild.packages.maven_lock import MavenLock, lock_of
from envbuild.packages.maven_names import CENTRAL, Coordinates, RepositoryOrigin
from envbuild.packages.maven_pom import BadPom, Pom, pom_of
from envbuild.packages.maven_poms import Poms, repositories_of
from envbuild.packages.maven_settings import MavenSettings
from envbuild.packages.plain_xml import MAX_BYTES
from envbuild.plan.step import InstallPackages

MAX_TOTAL = 512 << 20
"""Bytes of all poms of a project: those of a large one have 30 millions."""
_MISSING = (404, 410)


class MavenServers(LockedServers):
    """The repositories of Maven."""

    def __init__(self, machine: ManagerSettings) -> None:
        super().__init__(machine)
        self._settings = MavenSettings(machine.home)
        self._named: dict[str, str] = {}

    def resolve(self, resolution: Resolution) -> Sequence[tuple[Package, str]]:
        """Return the files that the project's lock names, and the poms that Maven reads beside them; of those that the
        lock has no hash of, this is the hash from now on. Raises BadMavenLock, UnsafeName, BadPom, BadDocument,
        WrongHash, Unresolved and NoMavenRepository."""
        lock = lock_of(resolution.contents)
        for origin in sorted(lock.origins):
            self._address_of(RepositoryOrigin(origin))  # it raises NoMavenRepository here, and not in eight threads
        fetched = _Poms(self, lock, resolution.contents)
        poms = Poms(fetched.fetch)
        poms.follow(lock.read, {meant.pom for meant in lock.files})
        packages = {meant.name: _package(meant, locked.hash, locked.origin) for meant, locked in lock.files.items()}
        for meant in poms.kept.keys() & fetched.packages.keys():
            packages.setdefault(meant.name, fetched.packages[meant])
        return [(package, "") for _, package in sorted(packages.items())]

    def find(self, action: InstallPackages, contents: Contents, package: Package) -> tuple[list[Address], list[str]]:
        """Return where the repository has the file. Raises NoMavenRepository."""
        return [Address(self.address_of(Coordinates.of_name(package.name), RepositoryOrigin(package.origin)))], []

    def named(self) -> Sequence[str]:
        """Return the address of central."""
        return (self._address_of(RepositoryOrigin(CENTRAL)),)

    def address_of(self, meant: Coordinates, origin: RepositoryOrigin) -> str:
        """Return where a repository has a file. Raises NoMavenRepository."""
        return f"{without_user(self._address_of(origin))}/{meant.path}"

    def _address_of(self, origin: RepositoryOrigin) -> str:
        if origin not in self._named:
            self._named[origin] = self._settings.address_of(origin.id, origin.address)
        return self._named[origin]

    @property
    def headers(self) -> Headers:
        """The headers for repositories: those of ~/.netrc, of addresses with users, and of the settings' servers."""
        known = {RepositoryOrigin(origin).id: address for origin, address in self._named.items()}
        return (*headers_of(self._named.values(), [self.netrc]), *self._settings.headers(known))


class _Poms:
    """The poms of one resolution, fetched from the repositories; `packages` are those that were fetched."""

    def __init__(self, servers: MavenServers, lock: MavenLock, contents: Contents) -> None:
        self._contents = contents
        self._servers = servers
        self._lock = lock
        self.packages: dict[Coordinates, Package] = {}
        self._left = MAX_TOTAL

    def fetch(self, wanted: Sequence[tuple[Coordinates, RepositoryOrigin]]) -> Mapping[Coordinates, Pom]:
        """Return the poms of those that there are. Raises Unresolved, WrongHash, BadPom and BadDocument."""
        with ThreadPoolExecutor(MAX_PARALLEL, "poms") as pool:
            answers = list(pool.map(self._first, wanted))
        poms = {}
        for (meant, _), answer in zip(wanted, answers, strict=True):
            if answer is not None:
                self.packages[meant], poms[meant] = answer
        return poms

    def _first(self, wanted: tuple[Coordinates, RepositoryOrigin]) -> tuple[Package, Pom] | None:
        meant, first = wanted
        for origin in repositories_of(first):
            address = self._servers.address_of(meant, origin)
            try:
                with self._servers.connections.open(address, {}) as answer:
                    content = answer.page(MAX_BYTES) if answer.status == 200 else None
                    status = answer.status
            except HTTPError as error:
                raise Unresolved("maven", f"{address}: {cause(error)}", _HINT) from error
            if content is not None:
                self._left -= len(content)
                if self._left < 0:
                    raise BadPom(meant.name, f"with it the poms have more than {MAX_TOTAL:,} bytes")
                return self._checked(meant, origin, content, address), pom_of(content, meant)
            if status not in _MISSING:
                raise Unresolved("maven", f"{address}: the server answers {status}", _HINT)
        return None

    def _checked(self, meant: Coordinates, origin: RepositoryOrigin, content: bytes, address: str) -> Package:
        locked = self._lock.files.get(meant)
        digest = locked.hash if locked is not None else "sha256:"
        algorithm = digest.partition(":")[0]
        actual = f"{algorithm}:{hashlib.new(algorithm, content).hexdigest()}"
        if locked is not None and locked.hash != actual:
            expected = _package(meant, locked.hash, locked.origin)
            raise WrongHash(expected, actual, address, renewal_of(self._contents, expected))
        return _package(meant, actual, origin)


_HINT = "the poms of locked artifacts are read to know which others Maven needs; see docs/packages.md for mirrors"


def _package(meant: Coordinates, hash: str, origin: str) -> Package:
    return Package(meant.name, meant.version, hash, origin)
