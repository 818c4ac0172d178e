"""Where this machine gets crates from: the registry that cargo's settings name, by cargo's sparse protocol."""

from __future__ import annotations

import tomllib
from collections.abc import Sequence
from functools import cached_property
from typing import Any

from urllib3.exceptions import HTTPError

from envbuild.errors import MachineLacks, fields
from envbuild.http.addresses import BadAddress, WebAddress
from envbuild.lockfile.lock import Package
from envbuild.packages.cache import Address
from envbuild.packages.cargo_lock import crates_of
from envbuild.packages.crate_names import CRATES, SPARSE
from envbuild.packages.documents import BadDocument, fields_of
from envbuild.packages.locked_servers import LockedServers
from envbuild.packages.manager import Contents, ManagerSettings, Resolution
from envbuild.plan.step import InstallPackages

MAX_REPLACEMENTS = 8
_FILES = (".cargo/config.toml", ".cargo/config")


@fields
class NoCrateRegistry(MachineLacks):
    """Nothing on this machine says where crates are, in a way that needs no git."""

    reason: str

    def text(self) -> tuple[str, str]:
        return (
            f"cargo: {self.reason}",
            'name one in ~/.cargo/config.toml: [source.crates-io] replace-with = "mine", and '
            '[source.mine] registry = "sparse+https://HOST/PATH/"',
        )


class CargoServers(LockedServers):
    """The servers of cargo's registries."""

    def __init__(self, machine: ManagerSettings) -> None:
        super().__init__(machine)
        self._templates: dict[str, tuple[str, Address]] = {}

    def resolve(self, resolution: Resolution) -> Sequence[tuple[Package, str]]:
        """Return the crates that the project's lock names. Raises BadCargoLock and UnsafeName."""
        return [(package, "") for package in crates_of(resolution.contents)]

    def find(self, action: InstallPackages, contents: Contents, package: Package) -> tuple[list[Address], list[str]]:
        """Return where the crate's registry says that its archive is. Raises NoCrateRegistry and BadDocument."""
        index = self.registry if package.origin == CRATES else package.origin.removeprefix(SPARSE)
        try:
            template, giver = self._template(index)
        except HTTPError as error:
            return [], [f"{index}config.json: {error}"]
        name, version = package.name.partition("@")[0], package.version
        parts = {
            "{crate}": name,
            "{version}": version,
            "{prefix}": _prefix(name),
            "{lowerprefix}": _prefix(name.lower()),
            "{sha256-checksum}": package.hash.partition(":")[2],
        }
        address = template if any(part in template for part in parts) else f"{template}/{{crate}}/{{version}}/download"
        for part, value in parts.items():
            address = address.replace(part, value)
        try:
            return [Address(WebAddress(address), giver.giver)], []
        except BadAddress:
            return [], [f"{index}config.json: {address[:200]!r} is not an address"]

    def named(self) -> Sequence[str]:
        """Return the address of the registry."""
        return (self.registry,)

    def _template(self, index: str) -> tuple[str, Address]:
        """Return what a registry says of where archives are (The Cargo Book, "Registry Index"), and the address of who
        said so."""
        if index not in self._templates:
            address = f"{index.rstrip('/')}/config.json"
            page = self.connections.read(address, {})
            if page.status != 200:
                raise BadDocument(address, f"the server answers {page.status}")
            template = fields_of(page.content, address).text("dl").rstrip("/")
            # Its own server may be named by the user, wherever it is; others are named by it.
            same = _server(template) == _server(page.address)
            self._templates[index] = template, Address(page.address, None if same else page.level)
        return self._templates[index]

    @cached_property
    def registry(self) -> str:
        """The index in place of the one that cargo uses by itself. Raises NoCrateRegistry."""
        settings = self._settings
        name, index = CRATES, ""
        for _ in range(MAX_REPLACEMENTS):
            source = settings.get("source", {}).get(name, {})
            index = source.get("registry") or settings.get("registries", {}).get(name, {}).get("index") or ""
            if "replace-with" not in source:
                break
            name = str(source["replace-with"])
        if not isinstance(index, str) or not index:
            raise NoCrateRegistry("nothing on this machine names a registry that can be asked without cargo")
        if not index.startswith(SPARSE):
            raise NoCrateRegistry(f"the registry {index[:100]} is a git repository, and its sparse index is needed")
        return WebAddress(index.removeprefix(SPARSE))

    @property
    def _settings(self) -> dict[str, Any]:
        for name in _FILES:
            path = f"{self._machine.home}/{name}"
            try:
                with open(path, "rb") as file:
                    plain = tomllib.load(file)
            except FileNotFoundError:
                continue
            except (OSError, ValueError, RecursionError) as error:
                raise NoCrateRegistry(f"{path} can't be read: {error}") from error
            tables = [plain.get("source", {}), plain.get("registries", {})]
            if all(isinstance(table, dict) and all(isinstance(v, dict) for v in table.values()) for table in tables):
                return plain
            raise NoCrateRegistry(f"{path}: 'source' and 'registries' are tables of tables")
        return {}


def _server(address: str) -> tuple[str, str, int] | None:
    try:
        return WebAddress(address.partition("{")[0]).server
    except BadAddress:
        return None


def _prefix(name: str) -> str:
    """Return the folder of a crate in an index (The Cargo Book, "Index files")."""
    if len(name) < 4:
        return str(len(name)) if len(name) < 3 else f"3/{name[0]}"
    return f"{name[:2]}/{name[2:4]}"
