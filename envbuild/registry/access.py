"""How a user reaches registries: who they are there, whom they trust, and where images are had from."""

from __future__ import annotations

from envbuild.record import Record
from envbuild.registry.auth_file import AuthFiles, find_login
from envbuild.registry.client import Repository
from envbuild.registry.exchange import Exchange
from envbuild.registry.mirrors import endpoints
from envbuild.registry.reference import RegistryReference
from envbuild.registry.server import Server


class Access(Record):
    """The files that say it: logins, folders of certificates, and podman's settings for registries."""

    logins: AuthFiles
    certificates: tuple[str, ...]
    settings: tuple[str, ...]

    def exchange(self, host: str, path: str = "", *, insecure: bool = False) -> Exchange:
        """Return a registry as who is logged in there with docker, podman or envbuild, or as nobody.

        To be called before the user's namespace is entered: programs that keep passwords look who runs them. Raises
        BadAuthFile, HelperFailed and FileUnusable."""
        login = find_login(self.logins, host, path)
        return Exchange(Server(host, self.certificates, insecure=insecure), login)

    def repositories(self, reference: RegistryReference, rights: str, *, insecure: bool = False) -> list[Repository]:
        """Return where an image may be had from: the mirrors of its registry, and that last. Raises as `exchange`, and
        BadRegistriesFile and Blocked."""
        return [
            Repository(
                self.exchange(endpoint.reference.host, endpoint.reference.path, insecure=insecure or endpoint.insecure),
                endpoint.reference.path,
                rights,
            )
            for endpoint in endpoints(self.settings, reference)
        ]

    def repository(self, reference: RegistryReference, rights: str, *, insecure: bool = False) -> Repository:
        """Return the repository of a reference itself, where podman's settings say that it is. Raises as
        `repositories`."""
        return self.repositories(reference, rights, insecure=insecure)[-1]


NOBODY = Access(AuthFiles((), ""), (), ())
"""Who is logged in nowhere, and trusts whom the machine trusts."""
