"""apt: packages of Debian and its kin."""

from __future__ import annotations

from envbuild.debian.names import DebianName, DebianOrigin, DebianVersion
from envbuild.lockfile.lock import Package
from envbuild.packages.manager import INSTALLED, Contents, ManagerSettings, Seen, Servers, Task
from envbuild.plan.step import InstallPackages

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from envbuild.packages.apt_stages import AptStages


class AptManager:
    """The package manager of `apt` statements."""

    name = "apt"

    def check(self, package: Package) -> Package:
        """Return the same package, whose fields are those of a Debian package. Raises BadName."""
        DebianName(package.name)
        DebianVersion(package.version)
        DebianOrigin(package.origin.removeprefix(INSTALLED))
        return package

    def files_of(self, action: InstallPackages, read: Callable[[str, str], bytes]) -> Contents:
        """Return the key of the statement's own source."""
        return tuple({path: read(path, f"{self.name} {option}") for option, path in action.files}.items())

    def clean(self, action: InstallPackages, path: str, content: bytes) -> bytes:
        """Return all of it: a key is public."""
        return content

    def installed_files(self, contents: Contents) -> Contents:
        """Return nothing: a source and its key only say where packages are."""
        return ()

    def variables_of(self, action: InstallPackages) -> None:
        """Return None: apt is run without the stage's environment."""

    def looks_at(self, action: InstallPackages) -> Seen:
        """Return apt's settings, and the packages that are installed."""
        etc = ("apt.conf", "apt.conf.d", "preferences", "preferences.d", "sources.list", "sources.list.d")
        status = ("/var/lib/dpkg/status", "/var/lib/dpkg/status.d")
        paths = (*(f"/etc/apt/{name}" for name in etc), *status, "/var/lib/dpkg/arch")
        return Seen(paths, changing=status)

    def trusts(self, action: InstallPackages, contents: Contents, packages: Sequence[Package]) -> bool:
        """Return True: a lock has no addresses of Debian packages, but places below the user's own sources."""
        return True

    def is_in_tree(self, package: Package) -> bool:
        """Return whether the lock says that the tree has the package installed."""
        return package.origin.startswith(INSTALLED)

    def install_task(
        self, action: InstallPackages, contents: Contents, packages: Sequence[tuple[Package, str]]
    ) -> Task:
        """Return what installs the locked packages from their files."""
        from envbuild.packages.apt_tasks import install_task  # only where something is installed

        return install_task(action, packages)

    def parts_of(
        self, action: InstallPackages, contents: Contents, packages: Sequence[tuple[Package, str]]
    ) -> AptStages | None:
        """Return the installation in stages, None if it is more than unpacking and configuring archives."""
        from envbuild.packages.apt_stages import stages_of  # as above

        return stages_of(action, packages)

    def joined_of(self, action: InstallPackages, contents: Contents, packages: Sequence[tuple[Package, str]]) -> None:
        """Return nothing: the tree's own programs install."""

    def servers(self, machine: ManagerSettings) -> Servers:
        """Return this machine's Debian sources."""
        from envbuild.packages.apt_servers import AptServers  # only where something is resolved or fetched

        return AptServers(machine)
