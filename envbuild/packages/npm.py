"""npm: packages of Node, in a folder with a package.json."""

from __future__ import annotations

from envbuild.errors import UsageError
from envbuild.lockfile.lock import Package
from envbuild.packages.manager import BUILD, Contents, ManagerSettings, Servers, Task
from envbuild.packages.node_names import NodeOrigin, NodePath, NodeVersion
from envbuild.plan.step import InstallPackages

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

LOCK_NAMES = ("npm-shrinkwrap.json", "package-lock.json")
"""npm's own locks, the one first that goes before the other."""


class NpmManager:
    """The package manager of `npm` statements."""

    name = "npm"
    installs_files = True

    def check(self, package: Package) -> Package:
        """Return the same package, whose fields are those of a Node package. Raises BadName."""
        NodePath(package.name)
        NodeVersion(package.version)
        NodeOrigin(package.origin.removeprefix(BUILD))
        return package

    def files_of(self, action: InstallPackages, read: Callable[[str, str], bytes]) -> Contents:
        """Return the package.json of each folder that the statement names, and npm's lock beside it if it has one."""
        contents: dict[str, bytes] = {}
        for option, path in action.files:
            folder, what = path.rstrip("/"), f"{self.name} {option}"
            contents[f"{folder}/package.json"] = read(f"{folder}/package.json", what)
            for name in LOCK_NAMES:
                try:
                    contents[f"{folder}/{name}"] = read(f"{folder}/{name}", what)
                    break
                except UsageError:
                    continue
        return tuple(contents.items())

    def trusts(self, action: InstallPackages, contents: Contents, packages: Sequence[Package]) -> bool:
        """Return True: a lock has no addresses of Node packages, but places in the user's own registry."""
        return True

    def is_in_tree(self, package: Package) -> bool:
        """Return False: archives of packages are not looked for in trees."""
        return False

    def install_task(
        self, action: InstallPackages, contents: Contents, packages: Sequence[tuple[Package, str]]
    ) -> Task:
        """Return what installs the locked packages from their files."""
        from envbuild.packages.npm_tasks import install_task  # only where something is installed

        return install_task(action, contents, packages)

    def servers(self, machine: ManagerSettings) -> Servers:
        """Return the registry that the user has set for npm."""
        from envbuild.packages.npm_servers import NpmServers  # only where something is resolved or fetched

        return NpmServers(machine)
