"""go: modules of Go, as a project's go.sum names them, in a module cache."""

from __future__ import annotations

from envbuild.errors import WorkFailed
from envbuild.lockfile.checked_name import UnsafeName
from envbuild.lockfile.lock import Package
from envbuild.packages.go_names import GO_MOD, ORIGIN, ModulePath, ModuleVersion
from envbuild.packages.manager import Contents, ManagerSettings, Seen, Servers, Task
from envbuild.plan.step import InstallPackages
from envbuild.record import Pairs

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

LOCK = "go.sum"


class GoManager:
    """The package manager of `go` statements. Which modules they mean is in the project's own go.sum."""

    name = "go"

    def check(self, package: Package) -> Package:
        """Return the same package, whose fields are those of a module or its go.mod. Raises BadName."""
        module, _, version = package.name.removesuffix(GO_MOD).partition("@")
        ModulePath(module)
        ModuleVersion(package.version)
        if version != package.version or package.origin != ORIGIN:
            raise UnsafeName("a Go module", f"{package.name} {package.version} {package.origin}")
        return package

    def files_of(self, action: InstallPackages, read: Callable[[str, str], bytes]) -> Contents:
        """Return the go.sum of the folder that the statement names."""
        paths = [f"{folder.rstrip('/')}/{LOCK}" for _, folder in action.files]
        return tuple((path, read(path, "go -r")) for path in paths)

    def clean(self, action: InstallPackages, path: str, content: bytes) -> bytes:
        """Return all of it."""
        return content

    def installed_files(self, contents: Contents) -> Contents:
        """Return nothing: go.sum only says which modules there are."""
        return ()

    def variables_of(self, action: InstallPackages) -> Pairs:
        """Return nothing: no program is asked."""
        return ()

    def looks_at(self, action: InstallPackages) -> Seen:
        """Return nothing: the answer is in the project's go.sum."""
        return Seen(())

    def trusts(self, action: InstallPackages, contents: Contents, packages: Sequence[Package]) -> bool:
        """Return whether the packages are those that go.sum names. What their files are is checked when they are
        installed: go.sum has hashes of what is in them."""
        from envbuild.packages.go_sum import sums_of

        try:
            return [package.name for package in packages] == list(sums_of(contents))
        except WorkFailed:
            return False  # it is told where its modules are asked for

    def is_in_tree(self, package: Package) -> bool:
        """Return False: modules are not looked for in trees."""
        return False

    def install_task(
        self, action: InstallPackages, contents: Contents, packages: Sequence[tuple[Package, str]]
    ) -> Task:
        """Return what puts the locked modules into the cache."""
        from envbuild.packages.go_tasks import install_task  # only where something is installed

        return install_task(action, contents, packages)

    def parts_of(self, action: InstallPackages, contents: Contents, packages: Sequence[tuple[Package, str]]) -> None:
        """Return nothing: modules are unpacked together."""

    def joined_of(self, action: InstallPackages, contents: Contents, packages: Sequence[tuple[Package, str]]) -> None:
        """Return nothing: the tree's own programs install."""

    def servers(self, machine: ManagerSettings) -> Servers:
        """Return the proxies that the user has set for Go's modules."""
        from envbuild.packages.go_servers import GoServers  # only where something is fetched

        return GoServers(machine)
