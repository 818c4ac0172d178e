"""Where this machine gets Debian packages from: the sources of its own apt, and what a statement names beside them."""

from __future__ import annotations

import os
from collections.abc import Sequence
from functools import cached_property, partial
from urllib.parse import quote

from envbuild.debian.apt_sources import machine_sources, parse_deb822, parse_lines, to_deb822
from envbuild.debian.deb import index_of
from envbuild.errors import UsageError, fields
from envbuild.http.transport import Transport
from envbuild.images.host_network import APT_SETTINGS, APT_SOURCES, apt_proxies
from envbuild.lockfile.lock import Package
from envbuild.packages import apt_needs, apt_tasks
from envbuild.packages.cache import Address, LookUp, Wanted
from envbuild.packages.credentials import headers_of
from envbuild.packages.errors import NotToBeHad, TooLargeToFetch, WrongHash
from envbuild.packages.manager import INSTALLED, MAX_ATTEMPTS, Contents, ManagerSettings, Resolution, TaskResult
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
        action, contents = resolution.action, resolution.contents
        source, sites = self._statement_source(action, contents)
        key = contents[0][1] if contents else b""
        explain = bool(resolution.renewed)
        held = self._held(resolution)
        for attempt in range(MAX_EXACT + MAX_ATTEMPTS):
            task = apt_tasks.resolve_task(action, held, source, key, explain=explain)
            if resolution.own_sources:
                task = apt_tasks.with_own_sources(task, APT_SETTINGS, APT_SOURCES)
            ended = resolution.run(task)
            if ended.status == 0:
                answer = self._answer(resolution, sites)
                index = b"" if held.index else self._index_of_dropped(resolution, held, answer)
                if not index:
                    break
                held = held.replace(index=index)
                continue
            held = self._with_less(action, held, ended, attempt)
        if explain:
            packages = [package for package, _ in answer]
            resolution.explain(apt_needs.reasons(_text(resolution, "stanzas"), packages, resolution.pinned))
        return answer

    def _held(self, resolution: Resolution) -> apt_tasks.Held:
        """Return what keeps its version at first: what is locked, and what the tree has of what is asked for."""
        asked = {name.partition(":")[0] for name in apt_tasks.asked_names(resolution.action)}
        in_tree = frozenset(asked - resolution.renewed if resolution.holds else ())
        return apt_tasks.Held(resolution.pinned, in_tree)

    def _with_less(
        self, action: InstallPackages, held: apt_tasks.Held, ended: TaskResult, attempt: int
    ) -> apt_tasks.Held:
        """Return what is held after a resolution failed: what was in the way is let go, in the end all. Raises
        Unresolved if nothing was."""
        needed = apt_tasks.needed_exactly(ended.output, apt_tasks.with_versions(action.wanted) | held.exact.keys())
        if needed.keys() - held.exact.keys() and len(held.exact) < MAX_EXACT:
            exact = {**needed, **held.exact}
            return held.replace(exact=exact, in_tree=held.in_tree - exact.keys())
        if not held.names or ended.status == apt_tasks.NO_APT:
            apt_tasks.refuse(ended.status, ended.output)
        freed = apt_tasks.to_unpin(ended.output) & held.names
        return held.without(freed if freed and attempt < MAX_ATTEMPTS - 2 else held.names)

    def _answer(self, resolution: Resolution, sites: Sequence[str]) -> list[tuple[Package, str]]:
        """Return the packages of the last task: what is to be installed, and what the tree has of what is asked for, as
        far as its hash is known. Raises UnsafeName, Unresolved and BadDocument."""
        native = resolution.answer("architecture").decode("ascii", "replace").strip()
        known = {package.hash: package for package in resolution.pinned}
        sites = (*sites, f"file:{apt_tasks.KEPT}")
        answer = [
            # The index of what sources dropped says nothing of its place.
            (known[package.hash], "") if address.startswith("file:") and package.hash in known else (package, address)
            for package, address in apt_tasks.read_answer(_text(resolution, "uris"), native, sites)
        ]
        listed = [package for package, _ in apt_tasks.read_answer(_text(resolution, "present"), native, sites)]
        installed = apt_tasks.read_installed(_text(resolution, "installed"), native)
        names = {package.name for package, _ in answer} | {
            package.name for package in resolution.earlier if installed.get(package.name) == package.version
        }
        for package in (*listed, *resolution.pinned, *resolution.base):
            if package.name in names or installed.get(package.name) != package.version:
                continue
            names.add(package.name)
            place = package.origin.removeprefix(INSTALLED)
            answer.append((package.replace(origin=f"{INSTALLED}{place}"), ""))
        return sorted(answer, key=lambda pair: pair[0].name)

    def _index_of_dropped(
        self, resolution: Resolution, held: apt_tasks.Held, answer: Sequence[tuple[Package, str]]
    ) -> bytes:
        """Return an index of the locked packages that moved although nothing is in their way: no source lists them any
        more. Their files may still be had. Empty if there are none."""
        chosen = apt_tasks.with_versions(resolution.action.wanted) | held.exact.keys()
        now = {package.name: package for package, _ in answer if not package.origin.startswith(INSTALLED)}
        dropped = [
            package
            for package in held.pins
            if package.name in now
            and now[package.name].version != package.version
            and package.name.partition(":")[0] not in chosen
            and not package.origin.startswith(INSTALLED)
        ]
        paths = []
        for package in dropped:
            addresses, problems = self.find(resolution.action, resolution.contents, package)
            wanted = Wanted(package, tuple(addresses), tuple(problems), self.look_up(package))
            try:
                paths.append((package, resolution.download(wanted)))
            except (NotToBeHad, WrongHash, TooLargeToFetch):
                continue  # then it moves, as it did whenever a mirror moved
        return index_of(paths)

    def asked(self, action: InstallPackages, contents: Contents, texts: Sequence[str]) -> None:
        """Return None: apt resolves from indexes that are signed, and runs nothing of packages."""

    def find(self, action: InstallPackages, contents: Contents, package: Package) -> tuple[list[Address], list[str]]:
        """Return the places of a package in all sources, those first whose name the lock has."""
        _, sites = self._statement_source(action, contents)
        return self.places_of(package, sites), []

    def places_of(self, package: Package, sites: Sequence[str]) -> list[Address]:
        """Return the places of a package in sources, those first whose name the lock has."""
        name, _, path = package.origin.removeprefix(INSTALLED).partition("/")
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

    def _statement_source(
        self, action: InstallPackages, contents: Contents, types: str = "deb"
    ) -> tuple[bytes, tuple[str, ...]]:
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
        return to_deb822(sources, types).encode(), (*(source.uri for source in sources), *self._machine_sites)

    @cached_property
    def _machine_sites(self) -> tuple[str, ...]:
        return tuple(dict.fromkeys(source.uri for source in machine_sources() if not source.is_local))


def _text(resolution: Resolution, name: str) -> str:
    return resolution.answer(name).decode(errors="replace")
