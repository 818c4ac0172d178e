"""go: modules of Go, as a project's go.sum names them, in a module cache."""

from __future__ import annotations

from envbuild.lockfile.checked_name import UnsafeName
from envbuild.lockfile.lock import Package
from envbuild.packages.go_names import GO_MOD, ORIGIN, ModulePath, ModuleVersion
from envbuild.packages.locked_modules import LockedModules
from envbuild.packages.manager import Contents, ManagerSettings, Servers, Task
from envbuild.plan.step import InstallPackages

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence


class GoManager(LockedModules):
    """The package manager of `go` statements. Which modules they mean is in the project's own go.sum."""

    name = "go"
    lock = "go.sum"

    def check(self, package: Package) -> Package:
        """Return the same package, whose fields are those of a module or its go.mod. Raises BadName."""
        module, _, version = package.name.removesuffix(GO_MOD).partition("@")
        ModulePath(module)
        ModuleVersion(package.version)
        if version != package.version or package.origin != ORIGIN:
            raise UnsafeName("a Go module", f"{package.name} {package.version} {package.origin}")
        return package

    def agrees(self, contents: Contents, packages: Sequence[Package]) -> bool:
        """Return whether the packages are those that go.sum names. What their files are is checked when they are
        installed: go.sum has hashes of what is in them. Raises BadGoSum and UnsafeName."""
        from envbuild.packages.go_sum import sums_of

        return [package.name for package in packages] == list(sums_of(contents))

    def install_task(
        self, action: InstallPackages, contents: Contents, packages: Sequence[tuple[Package, str]]
    ) -> Task:
        """Return what puts the locked modules into the cache."""
        from envbuild.packages.go_tasks import install_task  # only where something is installed

        return install_task(action, contents, packages)

    def servers(self, machine: ManagerSettings) -> Servers:
        """Return the proxies that the user has set for Go's modules."""
        from envbuild.packages.go_servers import GoServers  # only where something is fetched

        return GoServers(machine)
