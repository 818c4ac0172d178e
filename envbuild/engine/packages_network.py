"""Where this machine gets packages from: the addresses that may have a file, and how they are reached."""

from __future__ import annotations

import json
import os
from urllib.parse import quote

from envbuild.bases.apt_sources import machine_sources, parse_deb822, parse_lines, to_deb822
from envbuild.bases.network import apt_proxies, default_index, default_registry, npm_registry, pip_settings
from envbuild.engine.declared_files import Contents
from envbuild.errors import MachineLacks, UsageError
from envbuild.lock import Package
from envbuild.packages import apt, npm, pip
from envbuild.packages.cache import Transport
from envbuild.packages.credentials import apt_files, headers_of
from envbuild.packages.errors import Unresolved
from envbuild.plan.step import InstallPackages

TYPE_CHECKING = False
if TYPE_CHECKING:
    from envbuild.packages.download import Connections

Pairs = tuple[tuple[str, str], ...]


NPM_ACCEPT = "application/vnd.npm.install-v1+json"
"""The short form of a package's metadata (npm's registry documentation, package-metadata)."""


class BadSource(UsageError):
    """`apt(source=...)` is no line of sources.list."""

    def __init__(self, text: str) -> None:
        super().__init__(
            f"apt(source=...): '{text}' is no package source",
            'as in sources.list: apt(source="deb https://HOST/PATH SUITE COMPONENT", key=FILE) PKG',
        )


class NoRegistry(MachineLacks):
    """Nothing on this machine says where npm's packages are."""

    def __init__(self) -> None:
        super().__init__(
            "npm: this machine has no registry configured, and no npm whose default it could use",
            "set it in ~/.npmrc (registry=https://...), or install npm: apt-get install npm",
        )


class PackagesNetwork:
    """This machine's settings for package managers, read when they are first needed."""

    def __init__(self, variables: Pairs, home: str) -> None:
        """`variables` are the user's about proxies, indexes and certificates, `home` is the user's folder."""
        self._variables = dict(variables)
        self._home = home
        self._machine: tuple[str, ...] | None = None
        self._pip: dict[str, str] | None = None
        self._index: str | None = None
        self._registry: str | None = None
        self._open: dict[str, Connections] = {}

    def apt_source(self, action: InstallPackages, contents: Contents) -> tuple[bytes, tuple[str, ...]]:
        """The text of the statement's own source (deb822), b"" without one, and the addresses that sources begin
        with. Raises BadSource."""
        text = action.option("source")
        if text is None:
            return b"", self._machine_sites()
        found = parse_deb822(text) if text.lstrip().startswith("Types:") else parse_lines(text)
        if not found:
            raise BadSource(text)
        if contents:
            signed = ("Signed-By", apt.key_path(contents[0][1]))
            others = [tuple(p for p in one.options if p[0].lower() != "signed-by") for one in found]
            found = [one.replace(options=(*rest, signed)) for one, rest in zip(found, others, strict=True)]
        return to_deb822(found).encode(), (*(one.uri for one in found), *self._machine_sites())

    def addresses(self, action: InstallPackages, contents: Contents, package: Package) -> list[str]:
        """The addresses that may have a package's file, the likeliest first."""
        match action.manager:
            case "apt":
                _, sites = self.apt_source(action, contents)
                name, _, path = package.origin.partition("/")
                ordered = sorted(sites, key=lambda site: site.rstrip("/").rpartition("/")[2] != name)
                return [f"{site.rstrip('/')}/{quote(path, safe='/~')}" for site in dict.fromkeys(ordered)]
            case "pip":
                return self._pip_addresses(action, package)
            case _:
                return [f"{self._npm_registry()}/{package.origin.removeprefix(npm.BUILD)}"]

    def _pip_addresses(self, action: InstallPackages, package: Package) -> list[str]:
        origin = package.origin.removeprefix(pip.BUILD)
        if not origin.startswith(pip.INDEX):
            return [origin]
        from urllib3.exceptions import HTTPError

        from envbuild.packages.simple_index import files_on

        connections = self._connections("pip")
        links = [value for option, value in action.options if option == "find-links" and "://" in value]
        found = []
        for page in (*self._indexes(package.name), *links, *self._pip_setting("find-links")):
            try:
                files = files_on(connections, page)
            except HTTPError:
                continue  # the others may have it; if none has, fetching says so
            found += [one.address for one in files if one.name == pip.file_name(package)]
        return found

    def newest_pip(self, python: str) -> tuple[Package, str]:
        """The newest pip that a Python of this version (`3.11`) runs, with its address. Raises Unresolved."""
        from urllib3.exceptions import HTTPError

        from envbuild.packages.simple_index import files_on

        reason = "the index has none"
        for page in self._indexes("pip"):
            try:
                files = files_on(self._connections("pip"), page)
            except HTTPError as error:
                reason = str(error)
                continue
            wheels = [one for one in files if one.name.endswith("-py3-none-any.whl") and one.sha256 and not one.yanked]
            fitting = [one for one in wheels if pip.is_release(one.name) and pip.runs_on(one.requires_python, python)]
            if fitting:
                newest = max(fitting, key=lambda one: pip.version_of(one.name.split("-")[1]))
                origin = f"{pip.BUILD}{pip.INDEX}{newest.name}"
                return Package("pip", newest.name.split("-")[1], f"sha256:{newest.sha256}", origin), newest.address
        raise Unresolved("pip", f"the tree has no pip, and none can be fetched: {reason}")

    def newest_npm(self, node: str) -> tuple[Package, str]:
        """The newest npm that runs with a Node of this version (`v18.19.0`), with its address. Raises Unresolved."""
        from urllib3.exceptions import HTTPError

        registry = self._npm_registry()
        try:
            status, body = self._connections("npm").read(f"{registry}/npm", {"Accept": NPM_ACCEPT})
        except HTTPError as error:
            raise Unresolved("npm", f"the tree has no npm, and none can be fetched: {error}") from error
        versions = json.loads(body)["versions"] if status == 200 else {}
        stable = [version for version in versions if version.replace(".", "").isdigit()]
        for version in sorted(stable, key=lambda text: [int(part) for part in text.split(".")], reverse=True):
            one = versions[version]
            if not npm.fits_engine(one.get("engines", {}).get("node", "*"), node):
                continue
            package = npm.package_of("npm", one)
            return package.replace(origin=f"{npm.BUILD}{package.origin}"), f"{registry}/{package.origin}"
        raise Unresolved("npm", f"the tree has no npm, and the registry has none that fits Node {node}")

    def transport(self, manager: str) -> Transport:
        """How servers are reached for a package manager."""
        if manager == "apt":
            headers = headers_of(self._machine_sites(), apt_files())
            return Transport(apt_proxies(self._variables), headers=headers)
        addresses = [*self._pip_setting("index-url"), *self._pip_setting("extra-index-url")] if manager == "pip" else []
        return Transport((), self._certificates(manager), headers_of(addresses, [f"{self._home}/.netrc"]))

    def _certificates(self, manager: str) -> str:
        """The user's own bundle of certificates, "" for the usual one."""
        own = self._variables.get("PIP_CERT", "") if manager == "pip" else ""
        return own if own and os.path.exists(own) else ""

    def _connections(self, manager: str) -> Connections:
        from envbuild.packages.download import Connections  # urllib3: only where something is fetched

        if manager not in self._open:
            self._open[manager] = Connections(self.transport(manager))
        return self._open[manager]

    def _indexes(self, project: str) -> list[str]:
        """The pages of a project in the indexes that pip is set to use."""
        indexes = [*(self._pip_setting("index-url") or self._default_index()), *self._pip_setting("extra-index-url")]
        return [f"{index.rstrip('/')}/{project}/" for index in indexes]

    def _pip_setting(self, name: str) -> list[str]:
        if self._pip is None:
            self._pip = pip_settings(self._variables, self._home)
        return self._pip.get(name, "").split()

    def _default_index(self) -> list[str]:
        if self._index is None:
            self._index = default_index()
        return [self._index] if self._index else []

    def _npm_registry(self) -> str:
        if self._registry is None:
            self._registry = npm_registry(self._variables, self._home) or default_registry()
        if not self._registry:
            raise NoRegistry
        return self._registry.rstrip("/")

    def _machine_sites(self) -> tuple[str, ...]:
        if self._machine is None:
            self._machine = tuple(dict.fromkeys(one.uri for one in machine_sources() if not one.is_local))
        return self._machine
