"""Package managers whose packages are those that a project's own lock file names, such as cargo, go and maven.

Nothing is resolved in a sandbox and no program is asked: the lock is read as data, envbuild fetches what it names, and
a shell of the tree lays that out. A new one is a module with a `LockedModules`, and one with its `LockedServers`.
"""

from __future__ import annotations

from envbuild.errors import WorkFailed
from envbuild.lockfile.lock import Package
from envbuild.packages.manager import Contents, ManagerSettings, Seen, Servers, Task
from envbuild.plan.step import InstallPackages
from envbuild.record import Pairs

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from envbuild.linux.nofollow import Component


PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"


def layout_task(
    action: InstallPackages, script: str, files: Contents, packages: Sequence[tuple[Component, str]]
) -> Task:
    """Return what runs a script of ours with the tree's own shell; $INTO is the directory that the statement names.
    `packages` are (name in PACKAGES, host path); two modules may have the same file, byte for byte."""
    environment = (("INTO", action.option("into") or ""), ("PATH", PATH))
    return Task(("/bin/sh", "-c", script), environment, files, tuple(dict.fromkeys(packages)))


class LockedModules:
    """The package manager of a statement `NAME(into=DIR) -r FOLDER`; `lock` is the name of the file in FOLDER."""

    name: str
    lock: str

    def check(self, package: Package) -> Package:
        """Return the same package, all of whose fields are what this manager's packages have. Raises BadName."""
        raise NotImplementedError

    def agrees(self, contents: Contents, packages: Sequence[Package]) -> bool:
        """Return whether these packages are those that the project's lock names. Raises what reading it raises."""
        raise NotImplementedError

    def install_task(
        self, action: InstallPackages, contents: Contents, packages: Sequence[tuple[Package, str]]
    ) -> Task:
        """Return what lays out the locked packages, which are given with the paths of their files."""
        raise NotImplementedError

    def servers(self, machine: ManagerSettings) -> Servers:
        """Return where this machine gets the packages from."""
        raise NotImplementedError

    def files_of(self, action: InstallPackages, read: Callable[[str, str], bytes]) -> Contents:
        """Return the lock of the folder that the statement names."""
        paths = [f"{folder.rstrip('/')}/{self.lock}" for _, folder in action.files]
        return tuple((path, read(path, f"{self.name} -r")) for path in paths)

    def clean(self, action: InstallPackages, path: str, content: bytes) -> bytes:
        """Return all of it."""
        return content

    def installed_files(self, contents: Contents) -> Contents:
        """Return nothing: the lock only says which packages there are."""
        return ()

    def variables_of(self, action: InstallPackages) -> Pairs:
        """Return nothing: no program is asked."""
        return ()

    def looks_at(self, action: InstallPackages) -> Seen:
        """Return nothing: the answer is in the project's lock."""
        return Seen(())

    def trusts(self, action: InstallPackages, contents: Contents, packages: Sequence[Package]) -> bool:
        """Return whether the packages are those that the project's lock names."""
        try:
            return self.agrees(contents, packages)
        except WorkFailed:
            return False  # it is told where its packages are asked for

    def is_in_tree(self, package: Package) -> bool:
        """Return False: files of packages are not looked for in trees."""
        return False

    def parts_of(self, action: InstallPackages, contents: Contents, packages: Sequence[tuple[Package, str]]) -> None:
        """Return nothing: all packages are laid out together."""

    def joined_of(self, action: InstallPackages, contents: Contents, packages: Sequence[tuple[Package, str]]) -> None:
        """Return nothing: modules are installed in a sandbox."""
