"""cargo: crates of Rust, as a project's Cargo.lock names them, laid out as `cargo vendor` does."""

from __future__ import annotations

from envbuild.errors import WorkFailed
from envbuild.lockfile.lock import Package
from envbuild.packages.crate_names import CrateName, CrateOrigin, CrateVersion
from envbuild.packages.manager import Contents, ManagerSettings, Seen, Servers, Task
from envbuild.plan.step import InstallPackages
from envbuild.record import Pairs

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

LOCK = "Cargo.lock"


class CargoManager:
    """The package manager of `cargo` statements. Which crates they mean is in the project's own lock."""

    name = "cargo"

    def check(self, package: Package) -> Package:
        """Return the same package, whose fields are those of a crate. Raises BadName."""
        name, at, version = package.name.partition("@")
        if at and version != package.version:
            CrateVersion("")
        CrateName(name)
        CrateVersion(package.version)
        CrateOrigin(package.origin)
        return package

    def files_of(self, action: InstallPackages, read: Callable[[str, str], bytes]) -> Contents:
        """Return the Cargo.lock of the folder that the statement names."""
        paths = [f"{folder.rstrip('/')}/{LOCK}" for _, folder in action.files]
        return tuple((path, read(path, "cargo -r")) for path in paths)

    def clean(self, action: InstallPackages, path: str, content: bytes) -> bytes:
        """Return all of it."""
        return content

    def installed_files(self, contents: Contents) -> Contents:
        """Return nothing: the lock only says which crates there are."""
        return ()

    def variables_of(self, action: InstallPackages) -> Pairs:
        """Return nothing: no program is asked."""
        return ()

    def looks_at(self, action: InstallPackages) -> Seen:
        """Return nothing: the answer is in the project's lock."""
        return Seen(())

    def trusts(self, action: InstallPackages, contents: Contents, packages: Sequence[Package]) -> bool:
        """Return whether the packages are those that the project's lock names."""
        from envbuild.packages.cargo_lock import crates_of

        try:
            return list(packages) == crates_of(contents)
        except WorkFailed:
            return False  # it is told where its crates are asked for

    def is_in_tree(self, package: Package) -> bool:
        """Return False: archives of crates are not looked for in trees."""
        return False

    def install_task(
        self, action: InstallPackages, contents: Contents, packages: Sequence[tuple[Package, str]]
    ) -> Task:
        """Return what unpacks the locked crates into their folders."""
        from envbuild.packages.cargo_tasks import install_task  # only where something is installed

        return install_task(action, packages)

    def parts_of(self, action: InstallPackages, contents: Contents, packages: Sequence[tuple[Package, str]]) -> None:
        """Return nothing: crates are unpacked together."""

    def joined_of(self, action: InstallPackages, contents: Contents, packages: Sequence[tuple[Package, str]]) -> None:
        """Return nothing: the tree's own programs install."""

    def servers(self, machine: ManagerSettings) -> Servers:
        """Return the registry that the user has set for cargo."""
        from envbuild.packages.cargo_servers import CargoServers  # only where something is fetched

        return CargoServers(machine)
