"""cargo: crates of Rust, as a project's Cargo.lock names them, laid out as `cargo vendor` does."""

from __future__ import annotations

from envbuild.lockfile.lock import Package
from envbuild.packages.crate_names import CrateName, CrateOrigin, CrateVersion
from envbuild.packages.locked_modules import LockedModules
from envbuild.packages.manager import Contents, ManagerSettings, Servers, Task
from envbuild.plan.step import InstallPackages

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence


class CargoManager(LockedModules):
    """The package manager of `cargo` statements. Which crates they mean is in the project's own lock."""

    name = "cargo"
    lock = "Cargo.lock"

    def check(self, package: Package) -> Package:
        """Return the same package, whose fields are those of a crate. Raises BadName."""
        name, at, version = package.name.partition("@")
        if at and version != package.version:
            CrateVersion("")
        CrateName(name)
        CrateVersion(package.version)
        CrateOrigin(package.origin)
        return package

    def agrees(self, contents: Contents, packages: Sequence[Package]) -> bool:
        """Return whether the packages are those that the project's lock names. Raises BadCargoLock and UnsafeName."""
        from envbuild.packages.cargo_lock import crates_of

        return list(packages) == crates_of(contents)

    def install_task(
        self, action: InstallPackages, contents: Contents, packages: Sequence[tuple[Package, str]]
    ) -> Task:
        """Return what unpacks the locked crates into their folders."""
        from envbuild.packages.cargo_tasks import install_task  # only where something is installed

        return install_task(action, packages)

    def servers(self, machine: ManagerSettings) -> Servers:
        """Return the registry that the user has set for cargo."""
        from envbuild.packages.cargo_servers import CargoServers  # only where something is fetched

        return CargoServers(machine)
