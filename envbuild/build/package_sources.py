"""Where this machine gets packages from: the addresses that may have a file, and how they are reached."""

from __future__ import annotations

import os
import re
from urllib.parse import quote

from envbuild.build.requirement_files import Contents
from envbuild.debian.apt_sources import machine_sources, parse_deb822, parse_lines, to_deb822
from envbuild.errors import MachineLacks, UsageError
from envbuild.images.host_network import apt_proxies, default_index, default_registry, npm_registry, pip_settings
from envbuild.lockfile.lock import Package
from envbuild.packages import apt, direct_references, names, npm, pip
from envbuild.packages.addresses import BadAddress, WebAddress
from envbuild.packages.cache import Address, Transport, Wanted
from envbuild.packages.credentials import apt_files, headers_of, without_user
from envbuild.packages.documents import fields_of
from envbuild.packages.errors import Unresolved
from envbuild.packages.reach import Level
from envbuild.plan.step import InstallPackages

TYPE_CHECKING = False
if TYPE_CHECKING:
    from envbuild.packages.connections import Connections

Pairs = tuple[tuple[str, str], ...]


_STABLE = re.compile(r"[0-9]{1,6}\.[0-9]{1,6}\.[0-9]{1,6}")
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

    def __init__(self, variables: Pairs, home: str, most: int) -> None:
        """`variables` are the user's about proxies, indexes and certificates, `home` is the user's folder, `most` the
        bytes of one file that is fetched."""
        self._variables = dict(variables)
        self._most = most
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

    def wanted(self, action: InstallPackages, contents: Contents, package: Package, resolved: str) -> Wanted:
        """Where a package's file may be: in the user's own sources, and at `resolved`, the address that the resolution
        in the sandbox gave it ("" without one). Raises BadName."""
        names.checked(action.manager, package)
        problems: list[str] = []
        match action.manager:
            case "apt":
                _, sites = self.apt_source(action, contents)
                name, _, path = package.origin.partition("/")
                ordered = sorted(sites, key=lambda site: site.rstrip("/").rpartition("/")[2] != name)
                found = [Address(f"{site.rstrip('/')}/{quote(path, safe='/~')}") for site in dict.fromkeys(ordered)]
            case "pip":
                found, problems = self._pip_addresses(action, contents, package)
            case _:
                found = [Address(f"{self._npm_registry()}/{package.origin.removeprefix(names.BUILD)}")]
        if resolved and resolved not in [one.url for one in found]:
            found.append(self._given(action, contents, resolved))
        return Wanted(package, tuple(dict.fromkeys(found)), tuple(problems))

    def _given(self, action: InstallPackages, contents: Contents, address: str) -> Address:
        """An address that came out of a sandbox. What is on a server that the user or the recipe names is asked as
        these would be; other servers count as strangers of the public network."""
        named = [*self._machine_sites()] if action.manager == "apt" else self._pip_pages("")
        texts = [
            *action.wanted,
            *(value for _, value in action.options),
            *(text.decode(errors="replace") for _, text in contents),
        ]
        named += [one for text in texts for one in direct_references.NAMED_ADDRESS.findall(text)]
        servers = {server for one in named if (server := _server_of(one))}
        return Address(address, None if _server_of(address) in servers else Level.PUBLIC)

    def _pip_addresses(
        self, action: InstallPackages, contents: Contents, package: Package
    ) -> tuple[list[Address], list[str]]:
        """The addresses that indexes give for the file of this name and hash, and why there are no others."""
        origin = package.origin.removeprefix(names.BUILD)
        if not origin.startswith(names.INDEX):
            # A lock is not trusted with addresses: it is what the statement itself names, or nothing.
            named = direct_references.names_address(action, contents, origin)
            return ([Address(origin)], []) if named else ([], [f"{origin}: the statement does not name it"])
        from urllib3.exceptions import HTTPError

        from envbuild.packages.download import cause
        from envbuild.packages.simple_index import files_on

        connections = self._connections("pip")
        links = [value for option, value in action.options if option == "find-links" and "://" in value]
        wanted, digest = pip.file_name(package), package.hash.partition(":")[2]
        found: list[Address] = []
        problems = []
        for page in (*self._pip_pages(package.name), *links):
            try:
                files = files_on(connections, page)
            except HTTPError as error:
                problems.append(f"{without_user(page)}: {cause(error)}")
                continue  # the others may have it
            same = [one for one in files if one.name == wanted]
            found += [one.address for one in same if one.sha256 in ("", digest)]
            if same and all(one.sha256 not in ("", digest) for one in same):
                problems.append(f"{without_user(page)}: it has {wanted} with another hash")
        return found, problems

    def _pip_pages(self, project: str) -> list[str]:
        """The pages that pip's settings lead to for a project."""
        return [*self._indexes(project), *self._pip_setting("find-links")]

    def newest_pip(self, python: str) -> tuple[Package, Address]:
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
            usable = [
                one for one in files if one.sha256 and not one.yanked and pip.runs_on(one.requires_python, python)
            ]
            wheels = {one.name: one for one in usable if isinstance(one.name, names.WheelName)}
            fitting = [name for name in wheels if name.startswith("pip-") and pip.is_release(name)]
            if fitting:
                newest = max(fitting, key=lambda name: pip.version_of(name.version))
                origin, digest = f"{names.BUILD}{names.INDEX}{newest}", f"sha256:{wheels[newest].sha256}"
                return Package("pip", newest.version, digest, origin), wheels[newest].address
        raise Unresolved("pip", f"the tree has no pip, and none can be fetched: {reason}")

    def newest_npm(self, node: str) -> tuple[Package, Address]:
        """The newest npm that runs with a Node of this version (`v18.19.0`), with its address. Raises Unresolved."""
        from urllib3.exceptions import HTTPError

        registry = self._npm_registry()
        try:
            page = self._connections("npm").read(f"{registry}/npm", {"Accept": NPM_ACCEPT})
        except HTTPError as error:
            raise Unresolved("npm", f"the tree has no npm, and none can be fetched: {error}") from error
        found = fields_of(page.content, f"{registry}/npm").fields("versions") if page.status == 200 else None
        versions = dict(found.items()) if found is not None else {}
        stable = [version for version in versions if _STABLE.fullmatch(version)]
        for version in sorted(stable, key=lambda text: [int(part) for part in text.split(".")], reverse=True):
            one = versions[version]
            if not npm.fits_engine(one.fields("engines").text("node", "*"), node):
                continue
            package = npm.package_of("npm", one)
            return package.replace(origin=f"{names.BUILD}{package.origin}"), Address(f"{registry}/{package.origin}")
        raise Unresolved("npm", f"the tree has no npm, and the registry has none that fits Node {node}")

    def transport(self, manager: str) -> Transport:
        """How servers are reached for a package manager."""
        if manager == "apt":
            headers = headers_of(self._machine_sites(), apt_files())
            return Transport(apt_proxies(self._variables), headers=headers, most=self._most)
        addresses = [*self._pip_setting("index-url"), *self._pip_setting("extra-index-url")] if manager == "pip" else []
        headers = headers_of(addresses, [f"{self._home}/.netrc"])
        return Transport((), self._certificates(manager), headers, self._most)

    def _certificates(self, manager: str) -> str:
        """The user's own bundle of certificates, "" for the usual one."""
        own = self._variables.get("PIP_CERT", "") if manager == "pip" else ""
        return own if own and os.path.exists(own) else ""

    def _connections(self, manager: str) -> Connections:
        from envbuild.packages.connections import Connections  # urllib3: only where something is fetched

        if manager not in self._open:
            self._open[manager] = Connections(self.transport(manager))
        return self._open[manager]

    def _indexes(self, project: str) -> list[str]:
        """The pages of a project in the indexes that pip is set to use."""
        indexes = [*(self._pip_setting("index-url") or self._default_index()), *self._pip_setting("extra-index-url")]
        return [f"{index.rstrip('/')}/{project}/" for index in indexes]

    def pip_settings(self) -> dict[str, str]:
        """The user's settings for pip."""
        if self._pip is None:
            self._pip = pip_settings(self._variables, self._home)
        return self._pip

    def _pip_setting(self, name: str) -> list[str]:
        return self.pip_settings().get(name, "").split()

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


def _server_of(address: str) -> tuple[str, str, int] | None:
    try:
        return WebAddress(without_user(address)).server
    except BadAddress:
        return None
