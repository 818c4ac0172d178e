"""Where pinned files come from when neither the store nor a place has them: the user's own sources, as in a build."""

from __future__ import annotations

from functools import cached_property

from envbuild.build.pinned_files import BASE, FETCH, PinnedFile
from envbuild.build.request import BuildRequest
from envbuild.errors import EnvbuildError
from envbuild.http.addresses import WebAddress
from envbuild.http.transport import Transport
from envbuild.packages.cache import Address, LookUp
from envbuild.packages.credentials import headers_of
from envbuild.packages.manager import ManagerSettings, Servers
from envbuild.packages.registry import manager_of
from envbuild.packages.snapshot import by_date
from envbuild.record import Record


class Origins(Record):
    """The addresses of a file where it is published, and in the archive of past states, of which `look_up` finds more.
    `problems` are why there are no others."""

    published: tuple[Address, ...]
    archived: tuple[Address, ...] = ()
    look_up: LookUp | None = None
    problems: tuple[str, ...] = ()


class FileOrigins:
    """The sources of one user."""

    def __init__(self, request: BuildRequest) -> None:
        self._request = request
        self._servers: dict[str, Servers] = {}

    def group(self, file: PinnedFile) -> str:
        """Return what files have in common that are reached in the same way."""
        if file.kind == FETCH:
            return file.package.origin  # each may name a user of its own
        return "apt" if file.kind == BASE else file.kind

    def find(self, file: PinnedFile) -> Origins:
        """Return where a file comes from. Raises nothing: what is wrong is among its problems."""
        package = file.package
        try:
            if file.kind == FETCH:
                return Origins((Address(WebAddress(package.origin)),))
            servers = self._of(self.group(file))
            addresses, problems = servers.find(file.action, file.contents, package)
        except EnvbuildError as error:
            return Origins((), problems=(error.message,))
        archived: tuple[Address, ...] = ()
        if file.kind == BASE and self._request.snapshot:
            archived = (by_date(self._request.snapshot, package, file.released),)
        return Origins(tuple(dict.fromkeys(addresses)), archived, servers.look_up(package), tuple(problems))

    def transport(self, file: PinnedFile) -> Transport:
        """Return how the servers of a file's group are reached."""
        if file.kind == FETCH:
            return Transport(headers=headers_of([file.package.origin], []), most=self._request.fetch_limit)
        return self._of(self.group(file)).transport()

    def _of(self, manager: str) -> Servers:
        return self._servers.setdefault(manager, manager_of(manager).servers(self._settings))

    @cached_property
    def _settings(self) -> ManagerSettings:
        request = self._request
        return ManagerSettings(request.network, request.home, request.fetch_limit, request.snapshot)
