"""npm: packages of Node, in a folder with a package.json."""

from __future__ import annotations

from envbuild.errors import UsageError, WorkFailed
from envbuild.http.addresses import without_user
from envbuild.lockfile.lock import Package
from envbuild.packages.manager import BUILD, Contents, ManagerSettings, Seen, Servers, Task
from envbuild.packages.node_locks import OTHER_LOCKS
from envbuild.packages.node_names import NodeOrigin, NodePlace, NodeVersion
from envbuild.packages.npm_settings import LOCK_NAMES, SETTINGS, cleaned
from envbuild.plan.step import InstallPackages
from envbuild.record import Pairs

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from envbuild.packages.manager import Joined

_GLOBAL = ("/etc", "/usr/etc", "/usr/local/etc")
"""Where npm may have its settings for all users, by the prefix that it was built with."""
_UNIMPORTANT = ("audit", "cache", "cafile", "color", "fund", "loglevel", "progress", "update_notifier", "yes")
"""Settings that change no answer of npm's."""


class NpmManager:
    """The package manager of `npm` statements."""

    name = "npm"

    def check(self, package: Package) -> Package:
        """Return the same package, whose fields are those of a Node package. Raises BadName."""
        NodePlace(package.name)
        NodeVersion(package.version)
        NodeOrigin(package.origin.removeprefix(BUILD))
        return package

    def files_of(self, action: InstallPackages, read: Callable[[str, str], bytes]) -> Contents:
        """Return the package.json of the folder that the statement names, and the lock beside it: npm's if it has one,
        or that of the manager that the statement names."""
        contents: dict[str, bytes] = {}
        manager = action.option("manager")
        for option, path in action.files:
            folder, what = path.rstrip("/"), f"{self.name} {option}"
            contents[f"{folder}/package.json"] = read(f"{folder}/package.json", what)
            if manager in OTHER_LOCKS:
                name = OTHER_LOCKS[manager]
                contents[f"{folder}/{name}"] = read(f"{folder}/{name}", f"npm(manager={manager}) {option}")
                continue
            for name in LOCK_NAMES:
                try:
                    contents[f"{folder}/{name}"] = read(f"{folder}/{name}", what)
                    break
                except UsageError:
                    continue
        for _, path in action.files:
            settings = f"{path.rstrip('/')}/{SETTINGS}"
            try:
                contents[settings] = read(settings, f"{self.name} -r")
            except UsageError:
                continue
        return tuple(contents.items())

    def clean(self, action: InstallPackages, path: str, content: bytes) -> bytes:
        """Return a project's settings without passwords, all of other files."""
        if path.rpartition("/")[2] != SETTINGS:
            return content
        return cleaned(content, dict(action.environment))

    def installed_files(self, contents: Contents) -> Contents:
        """Return package.json and the lock."""
        return tuple((path, content) for path, content in contents if path.rpartition("/")[2] != SETTINGS)

    def variables_of(self, action: InstallPackages) -> Pairs:
        """Return NODE_ENV, and npm's own variables (npm's documentation, "config"), without passwords."""
        variables = []
        for name, value in action.environment:
            setting = name.lower().removeprefix("npm_config_")
            is_own = name.lower().startswith("npm_config_") and setting not in _UNIMPORTANT and "_auth" not in setting
            if name == "NODE_ENV" or (is_own and "password" not in setting):
                variables.append((name, without_user(value)))
        return tuple(variables)

    def looks_at(self, action: InstallPackages) -> Seen:
        """Return npm's settings for all users, the Node that runs it, and the project that is there."""
        into = (action.option("into") or "").rstrip("/")
        own = () if action.files else (f"{into}/package.json",)
        return Seen((*(f"{folder}/npmrc" for folder in _GLOBAL), *own), (("node",), ("npm",)), changing=own)

    def trusts(self, action: InstallPackages, contents: Contents, packages: Sequence[Package]) -> bool:
        """Return True: a lock has no addresses of Node packages, but places in the user's own registry. Of a project
        with the lock of another manager, return whether the packages are those that it names."""
        if action.option("manager") not in OTHER_LOCKS:
            return True
        from envbuild.packages.node_locks.locked import project_of  # few statements have such a lock

        try:
            return project_of(action, contents).answers(packages)
        except WorkFailed:
            return False  # it is told where its packages are asked for

    def is_in_tree(self, package: Package) -> bool:
        """Return False: archives of packages are not looked for in trees."""
        return False

    def install_task(
        self, action: InstallPackages, contents: Contents, packages: Sequence[tuple[Package, str]]
    ) -> Task:
        """Return what installs the locked packages from their files."""
        from envbuild.packages.npm_installation import install_task  # only where something is installed

        return install_task(action, contents, packages)

    def parts_of(self, action: InstallPackages, contents: Contents, packages: Sequence[tuple[Package, str]]) -> None:
        """Return nothing: the whole is told from the archives."""

    def joined_of(self, action: InstallPackages, contents: Contents, packages: Sequence[tuple[Package, str]]) -> Joined:
        """Return what joins the archives' trees."""
        from envbuild.packages.npm_installation import JoinedPackages  # only where something is installed

        return JoinedPackages(action, contents, packages)

    def servers(self, machine: ManagerSettings) -> Servers:
        """Return the registry that the user has set for npm."""
        from envbuild.packages.npm_servers import NpmServers  # only where something is resolved or fetched

        return NpmServers(machine)
