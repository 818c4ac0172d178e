"""pip: distributions of Python, in a virtual environment."""

from __future__ import annotations

import re
from posixpath import dirname, join, normpath

from envbuild.errors import UsageError, fields
from envbuild.http.addresses import BadAddress, WebAddress, names_address, without_user
from envbuild.lockfile.checked_name import UnsafeName
from envbuild.lockfile.lock import Package
from envbuild.packages.manager import BUILD, IN_PROJECT, Contents, ManagerSettings, Seen, Servers, Task, texts_of
from envbuild.packages.python_names import (
    INDEX,
    PROJECT_FILE,
    PYTHONS,
    TREE,
    DistributionName,
    PythonVersion,
    TreePath,
    distribution_file,
    file_of_address,
    lock_kind,
)
from envbuild.plan.step import PROJECT, InstallPackages
from envbuild.record import Pairs

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from envbuild.packages.manager import InParts

MAX_FILES = 500
"""Requirement files that one statement reads, with those that they name in turn."""
_UNIMPORTANT = (
    "PIP_CERT",
    "PIP_CLIENT_CERT",
    "PIP_DEBUG",
    "PIP_DEFAULT_TIMEOUT",
    "PIP_DISABLE_PIP_VERSION_CHECK",
    "PIP_LOG",
    "PIP_NO_CACHE_DIR",
    "PIP_NO_COLOR",
    "PIP_NO_INPUT",
    "PIP_PROGRESS_BAR",
    "PIP_PROXY",
    "PIP_QUIET",
    "PIP_RETRIES",
    "PIP_ROOT_USER_ACTION",
    "PIP_TIMEOUT",
    "PIP_VERBOSE",
)
"""Variables that change no answer of pip's."""
_FILE_VARIABLES = ("PIP_CONFIG_FILE", "PIP_CONSTRAINT", "PIP_REQUIREMENT", "PIP_BUILD_CONSTRAINT")
_INCLUDED = re.compile(rb"^\s*(?:-r|--requirement|-c|--constraint)(?:\s+|=)(\S+)", re.MULTILINE)
_LOCAL = re.compile(rb"^\s*(?:(?:-e|--editable)\b.*|\.{0,2}/\S*|\.)\s*(?:#.*)?$", re.MULTILINE)


@fields
class TooManyRequirementFiles(UsageError):
    """The requirement files of a statement name too many others."""

    statement: str

    def text(self) -> tuple[str, str]:
        return f"{self.statement}: the files name more than {MAX_FILES} others", "put them into fewer files"


@fields
class LocalRequirement(UsageError):
    """A requirement file names a folder of this machine."""

    path: str
    line: str

    def text(self) -> tuple[str, str]:
        return (
            f"{self.path}: '{self.line}' is a folder, and only packages with a hash can be locked",
            "copy it into the image and install it with: run DIR/bin/python3 -m pip install --no-deps PATH",
        )


class PipManager:
    """The package manager of `pip` statements."""

    name = "pip"

    def check(self, package: Package) -> Package:
        """Return the same package, whose fields are those of a Python distribution. Raises UnsafeName."""
        DistributionName(package.name)
        PythonVersion(package.version)
        origin = package.origin.removeprefix(BUILD)
        if origin.startswith(INDEX):
            distribution_file(origin.removeprefix(INDEX))
        elif origin.startswith(TREE):
            TreePath(origin.removeprefix(TREE))
        else:
            try:
                file_of_address(WebAddress(origin))
            except BadAddress:
                raise UnsafeName("where a Python distribution comes from", package.origin) from None
        return package

    def files_of(self, action: InstallPackages, read: Callable[[str, str], bytes]) -> Contents:
        """Return the requirement files, with those that they name in turn. Raises LocalRequirement."""
        contents: dict[str, bytes] = {}
        for option, path in action.files:
            if option == PROJECT:
                from envbuild.packages.python_project import files_of_project  # tomllib

                contents.update(files_of_project(path, f"{self.name} {path}", read))
                continue
            if lock_kind(path):
                contents.update(_read_lock_file(path, f"{self.name} {option}", read))
                continue
            _read_requirements(path, f"{self.name} {option}", read, contents)
        return tuple(contents.items())

    def clean(self, action: InstallPackages, path: str, content: bytes) -> bytes:
        """Return all of it."""
        return content

    def installed_files(self, contents: Contents) -> Contents:
        """Return the sources of projects: other files only say what is wanted."""
        return tuple(file for file in contents if file[0].startswith(IN_PROJECT))

    def variables_of(self, action: InstallPackages) -> Pairs:
        """Return pip's own variables (pip's documentation, "Configuration")."""
        return tuple(
            (name, " ".join(map(without_user, value.split())) if "://" in value else value)
            for name, value in action.environment
            if name.startswith("PIP_") and name not in _UNIMPORTANT
        )

    def looks_at(self, action: InstallPackages) -> Seen:
        """Return pip's settings, the Python that runs it, and what the virtual environment has."""
        into = (action.option("into") or "").rstrip("/")
        named = [path for name, value in action.environment if name in _FILE_VARIABLES for path in value.split()]
        files = ("/etc/pip.conf", "/etc/xdg/pip/pip.conf", f"{into}/pip.conf", f"{into}/pyvenv.cfg")
        paths = (*files, *(path for path in named if path.startswith("/")))
        return Seen(paths, (PYTHONS,), ((f"{into}/lib/*/site-packages", ".dist-info"),))

    def trusts(self, action: InstallPackages, contents: Contents, packages: Sequence[Package]) -> bool:
        """Return whether the statement itself names each address that a lock has for it."""
        origins = [package.origin.removeprefix(BUILD) for package in packages]
        addresses = [origin for origin in origins if not origin.startswith((INDEX, TREE))]
        if not addresses:
            return True
        from envbuild.packages.python_locks.formats import addresses_in_lock_files  # tomllib: few have addresses

        texts = [*texts_of(action, contents), *addresses_in_lock_files(contents)]
        return all(names_address(texts, address) for address in addresses)

    def is_in_tree(self, package: Package) -> bool:
        """Return whether the package's file lies in the tree itself."""
        return package.origin.removeprefix(BUILD).startswith(TREE)

    def install_task(
        self, action: InstallPackages, contents: Contents, packages: Sequence[tuple[Package, str]]
    ) -> Task:
        """Return what installs the locked packages from their files."""
        from envbuild.packages.pip_tasks import install_task  # only where something is installed

        return install_task(action, contents, packages)

    def parts_of(
        self, action: InstallPackages, contents: Contents, packages: Sequence[tuple[Package, str]]
    ) -> InParts | None:
        """Return the installation wheel by wheel, None if it builds sources."""
        from envbuild.packages.pip_parts import parts_of  # as above

        return parts_of(action, packages)

    def joined_of(self, action: InstallPackages, contents: Contents, packages: Sequence[tuple[Package, str]]) -> None:
        """Return nothing: scripts and bytecode are made by the tree's own Python."""

    def servers(self, machine: ManagerSettings) -> Servers:
        """Return the indexes that the user has set for pip."""
        from envbuild.packages.pip_servers import PipServers  # only where something is resolved or fetched

        return PipServers(machine)


def _read_lock_file(path: str, what: str, read: Callable[[str, str], bytes]) -> dict[str, bytes]:
    """Return a lock file of another tool, and what of the pyproject.toml beside it decides what is wanted."""
    contents = {normpath(path): read(path, what)}
    beside = normpath(join(dirname(path), PROJECT_FILE))
    try:
        project = read(beside, what)
    except UsageError:
        return contents  # the tool's defaults count
    from envbuild.packages.python_locks.formats import needs_project  # tomllib: only where there is a lock file
    from envbuild.packages.python_project import what_decides

    return {**contents, beside: what_decides(beside, project, graph=needs_project(path, contents[normpath(path)]))}


def _read_requirements(path: str, what: str, read: Callable[[str, str], bytes], contents: dict[str, bytes]) -> None:
    path = normpath(path)
    if path in contents:
        return
    if len(contents) == MAX_FILES:
        raise TooManyRequirementFiles(what)
    contents[path] = content = read(path, what)
    local = _LOCAL.search(content)
    if local is not None:
        raise LocalRequirement(path, local[0].decode(errors="replace").strip())
    for match in _INCLUDED.finditer(content):
        included = match[1].decode("utf-8", "surrogateescape")
        if "://" not in included:
            _read_requirements(join(dirname(path), included), what, read, contents)
