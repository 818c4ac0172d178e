"""apt(source): Debian source packages, unpacked in a directory."""

from __future__ import annotations

from envbuild.debian.names import DebianVersion, SourceOrigin, SourcePart
from envbuild.lockfile.lock import Package
from envbuild.packages.apt import AptManager
from envbuild.packages.manager import Contents, ManagerSettings, Seen, Servers, Task
from envbuild.plan.step import InstallPackages

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence


class SourceManager(AptManager):
    """The package manager of `apt(source)` statements."""

    name = "aptsource"

    def check(self, package: Package) -> Package:
        """Return the same package, whose fields are those of a file of a source package. Raises UnsafeName."""
        SourcePart(package.name)
        DebianVersion(package.version)
        SourceOrigin(package.origin)
        return package

    def looks_at(self, action: InstallPackages) -> Seen:
        """Return apt's settings."""
        seen = super().looks_at(action)
        return seen.replace(paths=tuple(path for path in seen.paths if path not in seen.changing), changing=())

    def is_in_tree(self, package: Package) -> bool:
        """Return False: a tree has no archives of sources."""
        return False

    def install_task(
        self, action: InstallPackages, contents: Contents, packages: Sequence[tuple[Package, str]]
    ) -> Task:
        """Return what unpacks the locked packages."""
        from envbuild.packages.source_tasks import install_task  # only where something is unpacked

        return install_task(action, packages)

    def servers(self, machine: ManagerSettings) -> Servers:
        """Return this machine's Debian sources."""
        from envbuild.packages.source_servers import SourceServers  # only where something is resolved or fetched

        return SourceServers(machine)
