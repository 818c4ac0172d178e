"""maven: the artifacts that a project's lockfile.json names, in a local repository of Maven."""

from __future__ import annotations

from envbuild.lockfile.checked_name import UnsafeName
from envbuild.lockfile.lock import Package
from envbuild.packages.locked_modules import LockedModules
from envbuild.packages.manager import Contents, ManagerSettings, Servers, Task
from envbuild.plan.step import InstallPackages

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence


class MavenManager(LockedModules):
    """The package manager of `maven` statements. Which artifacts they mean is in the lock of the plugin
    maven-lockfile."""

    name = "maven"
    lock = "lockfile.json"

    def check(self, package: Package) -> Package:
        """Return the same package, whose fields are those of a file of a repository. Raises BadName."""
        from envbuild.packages.maven_names import Coordinates, RepositoryOrigin

        if Coordinates.of_name(package.name).version != package.version:
            raise UnsafeName("a Maven artifact", f"{package.name} {package.version}")
        RepositoryOrigin(package.origin)
        return package

    def agrees(self, contents: Contents, packages: Sequence[Package]) -> bool:
        """Return whether the packages are all files of which the project's lock has a hash, with it, and beside these
        only poms, from the repositories that it names. Raises BadMavenLock and UnsafeName."""
        from envbuild.packages.maven_lock import lock_of
        from envbuild.packages.maven_names import POM, Coordinates

        lock = lock_of(contents)
        origins, locked = lock.origins, {meant.name: known for meant, known in lock.files.items()}
        named = {package.name: package for package in packages}
        if len(named) != len(packages) or not locked.keys() <= named.keys():
            return False
        for name, package in named.items():
            known = locked.get(name)
            if known is None and Coordinates.of_name(name).extension != POM:
                return False
            if package.origin not in origins or (known is not None and known.hash != package.hash):
                return False
        return True

    def install_task(
        self, action: InstallPackages, contents: Contents, packages: Sequence[tuple[Package, str]]
    ) -> Task:
        """Return what puts the locked artifacts into the repository."""
        from envbuild.packages.maven_tasks import install_task  # only where something is installed

        return install_task(action, packages)

    def servers(self, machine: ManagerSettings) -> Servers:
        """Return the repositories that the user's settings have."""
        from envbuild.packages.maven_servers import MavenServers  # only where something is fetched

        return MavenServers(machine)
