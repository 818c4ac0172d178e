"""Where this machine gets Debian source packages from: the archives that its apt has packages from."""

from __future__ import annotations

from collections.abc import Sequence

from envbuild.images.host_network import APT_SETTINGS, APT_SOURCES
from envbuild.lockfile.lock import Package
from envbuild.packages import apt_tasks, source_tasks
from envbuild.packages.apt_servers import AptServers
from envbuild.packages.cache import LookUp
from envbuild.packages.manager import Resolution


class SourceServers(AptServers):
    """The servers of apt's sources, as places of source packages."""

    def resolve(self, resolution: Resolution) -> Sequence[tuple[Package, str]]:
        """Return the files of the source packages that a statement means, each with its address. Raises Unresolved,
        NoManager, BadSource, UnsafeName and BadDocument."""
        action, contents = resolution.action, resolution.contents
        source, sites = self._statement_source(action, contents, "deb-src")
        key = contents[0][1] if contents else b""
        held = tuple(package for package in resolution.pinned if package.name not in resolution.renewed)
        for pinned in (held, ()):
            task = source_tasks.resolve_task(action, pinned, source, key)
            if resolution.own_sources:
                task = apt_tasks.with_own_sources(task, APT_SETTINGS, APT_SOURCES)
            ended = resolution.run(task)
            if ended.status == 0:
                break
            if not pinned or ended.status >= apt_tasks.NO_APT:
                source_tasks.refuse(ended.status, ended.output)
        uris, records = (resolution.answer(name).decode(errors="replace") for name in ("uris", "records"))
        return source_tasks.read_answer(uris, records, sites)

    def look_up(self, package: Package) -> LookUp | None:
        """Return None: the archive of all that Debian ever had is asked for binary packages."""
        return None
