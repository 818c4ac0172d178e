"""Where this machine gets Debian packages from: the sources of its own apt, and what a statement names beside them."""

from __future__ import annotations

import os
from collections.abc import Sequence
from functools import cached_property, partial
from urllib.parse import quote

from envbuild.debian.apt_sources import machine_sources, parse_deb822, parse_lines, to_deb822
from envbuild.errors import UsageError, fields
from envbuild.images.host_network import APT_SETTINGS, APT_SOURCES, apt_proxies
from envbuild.lockfile.lock import Package
from envbuild.packages import apt_tasks
from envbuild.packages.cache import Address, LookUp, Transport
from envbuild.packages.credentials import headers_of
from envbuild.packages.manager import Contents, ManagerSettings, Resolution, fewer_pins
from envbuild.packages.snapshot import by_version
from envbuild.plan.step import InstallPackages

AUTH_FILE, AUTH_FOLDER = "/etc/apt/auth.conf", "/etc/apt/auth.conf.d"
"""Where apt has users and passwords (apt_auth.conf(5))."""


MAX_EXACT = 100
"""Packages of which a resolution takes an older version because another one needs exactly that one."""


@fields
class BadSource(UsageError):
    """`apt(source=...)` is not a line of sources.list."""

    source: str

    def text(self) -> tuple[str, str]:
        return (
            f"apt(source=...): '{self.source}' is not a package source",
            'as in sources.list: apt(source="deb https://HOST/PATH SUITE COMPONENT", key=FILE) PKG',
        )


class AptServers:
    """The servers of apt's sources."""

    def __init__(self, machine: ManagerSettings) -> None:
        self._machine = machine

    def resolve(self, resolution: Resolution) -> Sequence[tuple[Package, str]]:
        """Return the packages that a statement means, each with its address. Raises Unresolved, NoManager, BadSource,
        BadName and BadDocument."""
        action, contents, pinned = resolution.action, resolution.contents, resolution.pinned
        source, sites = self._statement_source(action, contents)
        key = contents[0][1] if contents else b""
        exact: dict[str, str] = {}
        attempt = 0
        while True:
            task = apt_tasks.resolve_task(action, pinned, exact, source, key)
            if resolution.own_sources:
                task = apt_tasks.with_own_sources(task, APT_SETTINGS, APT_SOURCES)
            ended = resolution.run(task)
            if ended.status == 0:
                break
            needed = apt_tasks.needed_exactly(ended.output, apt_tasks.with_versions(action.wanted) | exact.keys())
            if needed.keys() - exact.keys() and len(exact) < MAX_EXACT:
                exact = {**needed, **exact}
                continue
            if not pinned or ended.status == apt_tasks.NO_APT:
                apt_tasks.refuse(ended.status, ended.output)
            pinned = fewer_pins(pinned, apt_tasks.to_unpin(ended.output), attempt)
            attempt += 1
        architecture = resolution.answer("architecture").decode("ascii", "replace").strip()
        return apt_tasks.read_answer(resolution.answer("uris").decode(errors="replace"), architecture, sites)

    def asked(self, action: InstallPackages, contents: Contents, texts: Sequence[str]) -> None:
        """Return None: apt resolves from indexes that are signed, and runs nothing of packages."""

    def find(self, action: InstallPackages, contents: Contents, package: Package) -> tuple[list[Address], list[str]]:
        """Return the places of a package in all sources, those first whose name the lock has."""
        _, sites = self._statement_source(action, contents)
        return self.places_of(package, sites), []

    def places_of(self, package: Package, sites: Sequence[str]) -> list[Address]:
        """Return the places of a package in sources, those first whose name the lock has."""
        name, _, path = package.origin.partition("/")
        ordered = sorted(sites, key=lambda site: site.rstrip("/").rpartition("/")[2] != name)
        return [Address(f"{site.rstrip('/')}/{quote(path, safe='/~')}") for site in dict.fromkeys(ordered)]

    def look_up(self, package: Package) -> LookUp | None:
        """Return what finds a package in the archive of all that Debian ever had, None where the user names none."""
        snapshot = self._machine.snapshot
        return partial(by_version, snapshot, package) if snapshot else None

    def named(self) -> Sequence[str]:
        """Return the addresses of the machine's sources."""
        return self._machine_sites

    def transport(self) -> Transport:
        """Return how servers are reached: with apt's proxies, users and passwords."""
        names = sorted(os.listdir(AUTH_FOLDER)) if os.path.isdir(AUTH_FOLDER) else []
        files = [AUTH_FILE, *(f"{AUTH_FOLDER}/{name}" for name in names if name.endswith(".conf"))]
        proxies = apt_proxies(dict(self._machine.variables))
        return Transport(proxies, headers=headers_of(self._machine_sites, files), most=self._machine.max_file)

    def _statement_source(self, action: InstallPackages, contents: Contents) -> tuple[bytes, tuple[str, ...]]:
        """Return the text of the statement's own source (deb822), b"" without one, and the addresses that all sources
        begin with. Raises BadSource."""
        text = action.option("source")
        if text is None:
            return b"", self._machine_sites
        sources = parse_deb822(text) if text.lstrip().startswith("Types:") else parse_lines(text)
        if not sources:
            raise BadSource(text)
        if contents:
            key = ("Signed-By", apt_tasks.key_path(contents[0][1]))
            sources = [
                source.replace(options=(*(pair for pair in source.options if pair[0].lower() != "signed-by"), key))
                for source in sources
            ]
        return to_deb822(sources).encode(), (*(source.uri for source in sources), *self._machine_sites)

    @cached_property
    def _machine_sites(self) -> tuple[str, ...]:
        return tuple(dict.fromkeys(source.uri for source in machine_sources() if not source.is_local))
