"""Where this machine gets Go's modules from: the proxies that GOPROXY names, by their protocol."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import cached_property

from urllib3.exceptions import HTTPError

from envbuild.errors import MachineLacks, fields
from envbuild.http.addresses import without_user
from envbuild.http.connections import MAX_PARALLEL
from envbuild.images.host_network import go_proxies
from envbuild.lockfile.lock import Package
from envbuild.packages.cache import Address
from envbuild.packages.credentials import Headers, headers_of
from envbuild.packages.errors import Unresolved
from envbuild.packages.go_names import GO_MOD, ORIGIN, place_of
from envbuild.packages.go_sum import Sum, sums_of
from envbuild.packages.locked_servers import LockedServers
from envbuild.packages.manager import Contents, Resolution
from envbuild.plan.step import InstallPackages

MAX_ZIP = 256 << 20
"""Bytes of a module's zip file: it is held in memory."""


@fields
class NoGoProxy(MachineLacks):
    """Nothing on this machine says where modules of Go are."""

    def text(self) -> tuple[str, str]:
        return (
            "go: this machine has no module proxy configured, and no go whose default it could use",
            "set it in the environment (GOPROXY=https://...), or install go: apt-get install golang-go",
        )


class GoServers(LockedServers):
    """The proxies of Go's modules."""

    def resolve(self, resolution: Resolution) -> Sequence[tuple[Package, str]]:
        """Return the modules that go.sum names. Its hashes are of what is in the files; so these are fetched, and their
        own hashes are for our lock. Raises BadGoSum, UnsafeName, OtherModule, Unresolved and NoGoProxy."""
        sums = list(sums_of(resolution.contents).values())
        if sums:
            self.proxies  # noqa: B018 (it raises NoGoProxy here, and not in eight threads)
        with ThreadPoolExecutor(MAX_PARALLEL, "modules") as pool:
            return list(pool.map(self._pinned, sums))

    def _pinned(self, said: Sum) -> tuple[Package, str]:
        reasons = []
        for proxy in self.proxies:
            address = f"{proxy}/{said.place}"
            try:
                with self.connections.open(address, {}) as answer:
                    content = answer.page(MAX_ZIP) if answer.status == 200 else None
            except HTTPError as error:
                reasons.append(f"{address}: {error}")
                continue
            if content is None:
                reasons.append(f"{address}: the server answers {answer.status}")
                continue
            said.check(content)
            digest = f"sha256:{hashlib.sha256(content).hexdigest()}"
            return Package(said.name, said.version, digest, ORIGIN), ""
        raise Unresolved("go", "\n".join(reasons))

    def find(self, action: InstallPackages, contents: Contents, package: Package) -> tuple[list[Address], list[str]]:
        """Return where each proxy has the file. Raises NoGoProxy."""
        ending = "mod" if package.name.endswith(GO_MOD) else "zip"
        module = package.name.removesuffix(GO_MOD).partition("@")[0]
        return [Address(f"{proxy}/{place_of(module, package.version, ending)}") for proxy in self.proxies], []

    def named(self) -> Sequence[str]:
        """Return the addresses of the proxies."""
        return self.proxies

    @property
    def headers(self) -> Headers:
        """The headers for the proxies: those of ~/.netrc, and of the users in GOPROXY."""
        return headers_of(self._named, [self.netrc])

    @cached_property
    def proxies(self) -> list[str]:
        """The addresses of the proxies, without users. Raises NoGoProxy."""
        if not self._named:
            raise NoGoProxy
        return list(map(without_user, self._named))

    @cached_property
    def _named(self) -> list[str]:
        return go_proxies(dict(self._machine.variables))
