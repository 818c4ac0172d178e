"""Where packages come from that a project's own lock file names: what the servers of all such managers share."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property

from envbuild.http.connections import Connections
from envbuild.http.transport import Transport
from envbuild.packages.credentials import Headers, headers_of
from envbuild.packages.manager import Asked, Contents, ManagerSettings
from envbuild.plan.step import InstallPackages


class LockedServers:
    """Servers of files that a lock names: nobody has to be asked what they are."""

    def __init__(self, machine: ManagerSettings) -> None:
        self._machine = machine

    def asked(self, action: InstallPackages, contents: Contents, texts: Sequence[str]) -> Asked:
        """Return nothing: nothing is run."""
        return Asked(())

    def look_up(self, package: object) -> None:
        """Return None: a registry keeps what it once had."""

    def transport(self) -> Transport:
        """Return how servers are reached: with the users of ~/.netrc, and those of the settings."""
        return Transport((), "", self.headers, self._machine.max_file)

    @property
    def headers(self) -> Headers:
        """The headers for servers: by default those of ~/.netrc."""
        return headers_of([], [self.netrc])

    @property
    def netrc(self) -> str:
        """The path of the user's netrc(5)."""
        return f"{self._machine.home}/.netrc"

    @cached_property
    def connections(self) -> Connections:
        """The connections to the servers, kept open between files."""
        return Connections(self.transport())
