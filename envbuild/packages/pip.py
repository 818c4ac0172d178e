"""pip: distributions of Python, in a virtual environment."""

from __future__ import annotations

import re
from posixpath import dirname, join, normpath

from envbuild.errors import UsageError, fields
from envbuild.lockfile.checked_name import BadName
from envbuild.lockfile.lock import Package
from envbuild.packages.addresses import BadAddress, WebAddress, names_address
from envbuild.packages.manager import BUILD, Contents, ManagerSettings, Servers, Task, texts_of
from envbuild.packages.python_names import (
    INDEX,
    TREE,
    DistributionName,
    PythonVersion,
    TreePath,
    distribution_file,
    file_of_address,
)
from envbuild.plan.step import InstallPackages

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

MAX_FILES = 500
"""Requirement files that one statement reads, with those that they name in turn."""
_INCLUDED = re.compile(rb"^\s*(?:-r|--requirement|-c|--constraint)(?:\s+|=)(\S+)", re.MULTILINE)
_LOCAL = re.compile(rb"^\s*(?:(?:-e|--editable)\b.*|\.{0,2}/\S*|\.)\s*(?:#.*)?$", re.MULTILINE)


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
    installs_files = False

    def check(self, package: Package) -> Package:
        """Return the same package, whose fields are those of a Python distribution. Raises BadName."""
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
                raise BadName("where a Python distribution comes from", package.origin) from None
        return package

    def files_of(self, action: InstallPackages, read: Callable[[str, str], bytes]) -> Contents:
        """Return the requirement files, with those that they name in turn. Raises LocalRequirement."""
        contents: dict[str, bytes] = {}
        for option, path in action.files:
            _read_requirements(path, f"{self.name} {option}", read, contents)
        return tuple(contents.items())

    def trusts(self, action: InstallPackages, contents: Contents, packages: Sequence[Package]) -> bool:
        """Return whether the statement itself names each address that a lock has for it."""
        origins = [package.origin.removeprefix(BUILD) for package in packages]
        addresses = [origin for origin in origins if not origin.startswith((INDEX, TREE))]
        texts = texts_of(action, contents)
        return all(names_address(texts, address) for address in addresses)

    def is_in_tree(self, package: Package) -> bool:
        """Return whether the package's file lies in the tree itself."""
        return package.origin.removeprefix(BUILD).startswith(TREE)

    def install_task(
        self, action: InstallPackages, contents: Contents, packages: Sequence[tuple[Package, str]]
    ) -> Task:
        """Return what installs the locked packages from their files."""
        from envbuild.packages.pip_tasks import install_task  # only where something is installed

        return install_task(action, packages)

    def servers(self, machine: ManagerSettings) -> Servers:
        """Return the indexes that the user has set for pip."""
        from envbuild.packages.pip_servers import PipServers  # only where something is resolved or fetched

        return PipServers(machine)


def _read_requirements(path: str, what: str, read: Callable[[str, str], bytes], contents: dict[str, bytes]) -> None:
    path = normpath(path)
    if path in contents:
        return
    if len(contents) == MAX_FILES:
        raise UsageError(f"{what}: the files name more than {MAX_FILES} others", "put them into fewer files")
    contents[path] = content = read(path, what)
    local = _LOCAL.search(content)
    if local is not None:
        raise LocalRequirement(path, local[0].decode(errors="replace").strip())
    for match in _INCLUDED.finditer(content):
        included = match[1].decode("utf-8", "surrogateescape")
        if "://" not in included:
            _read_requirements(join(dirname(path), included), what, read, contents)
