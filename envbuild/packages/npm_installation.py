"""How Node packages get into a directory: joined from their archives' trees, or unpacked in the sandbox.

npm itself is there only to run install scripts, and only where the statement asks for them.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from importlib import resources

from envbuild.linux.nofollow import Component
from envbuild.lockfile.lock import Package
from envbuild.packages.manager import BUILD, CHECK, FOLDER, PACKAGES, Contents, Task
from envbuild.packages.node_locks import OTHER_LOCKS
from envbuild.packages.node_locks.locked import Project, project_of
from envbuild.packages.node_modules import NodeProject, install
from envbuild.packages.node_names import NodePlace
from envbuild.packages.npm_archive import Odd
from envbuild.packages.npm_settings import SETTINGS
from envbuild.packages.npm_tasks import FIND_NPM, NPM_ARCHIVE, environment_of, name_and_range, runs_scripts
from envbuild.plan.step import InstallPackages
from envbuild.store.store import Store
from envbuild.tree.entry import Digest

_ORDER = f"{FOLDER}/order.json"
_SCRIPT = f"{FOLDER}/npm_install.js"
_RUN_SCRIPTS = f"{FOLDER}/npm_scripts.js"
_CHECK = f"{FOLDER}/npm_check.js"
_MODULES = "node_modules/"

_UNPACK = f"""\
mkdir -p "$INTO"
node {_SCRIPT} {_ORDER}
"""
_HOLD_TOGETHER = f"""\
if [ -n "${{{CHECK}:-}}" ]; then node {_CHECK} {_ORDER} "${CHECK}"; fi
"""
_REBUILD = """\
if [ "$SCRIPTS" = yes ]; then
    find_npm
    cd "$INTO"
    $npm rebuild --offline --foreground-scripts --loglevel=error
    rm -rf node_modules/.package-lock.json node_modules/.cache
fi
"""
_REBUILD_LOCKED = f"""\
if [ "$SCRIPTS" = yes ]; then
    find_npm
    node {_RUN_SCRIPTS} {_ORDER} $npm
fi
"""


class JoinedPackages:
    """The packages of a statement, whose tree is told from their archives."""

    def __init__(self, action: InstallPackages, contents: Contents, packages: Sequence[tuple[Package, str]]) -> None:
        self._action = action
        self._contents = contents
        self._packages = packages

    def join(self, store: Store, tree: Digest, epoch: int) -> tuple[Digest, int, int] | None:
        """Return the tree in which the packages are installed, how many of them were unpacked before, and how many
        there are; None where only an installation in a sandbox tells it."""
        locked, project = _locked(self._action, self._contents, self._packages)
        unpacked = NodeProject(
            self._action.option("into") or "",
            tuple((path.rpartition("/")[2], content) for path, content in _project_files(self._contents)),
            locked,
            () if project is None else tuple(project.links([package for package, _ in locked])),
            tuple(name_and_range(word) for word in self._action.wanted),
        )
        try:
            joined, known = install(store, unpacked, tree, epoch)
        except Odd:
            return None
        return joined, known, len(locked)

    def finish(self) -> Task | None:
        """Return what runs the install scripts, if the statement asks for them."""
        if not runs_scripts(self._action):
            return None
        return _task(self._action, self._contents, self._packages, unpacks=False)


def install_task(action: InstallPackages, contents: Contents, packages: Sequence[tuple[Package, str]]) -> Task:
    """Return what installs from files. `packages` are the locked ones with the paths of their files."""
    return _task(action, contents, packages, unpacks=True)


def _task(
    action: InstallPackages, contents: Contents, packages: Sequence[tuple[Package, str]], *, unpacks: bool
) -> Task:
    install, mounted = [], []
    for package, path in packages:
        if package.origin.startswith(BUILD):
            mounted.append((Component(NPM_ARCHIVE), path))
        elif unpacks:
            name = Component(f"{package.hash.partition(':')[2][:40]}.tgz")
            mounted.append((name, path))
            install.append({"path": NodePlace(package.name), "version": package.version, "file": f"{PACKAGES}/{name}"})
    order: dict[str, object] = {
        "into": action.option("into"),
        # An outer package before those that lie in it.
        "install": sorted(install, key=lambda item: (item["path"].count(_MODULES), item["path"])),
        "files": {
            path.rpartition("/")[2]: content.decode("utf-8", "surrogateescape")
            for path, content in _project_files(contents)
        },
        "wanted": [name_and_range(word) for word in action.wanted],
    }
    locked, project = _locked(action, contents, packages)
    script = _UNPACK if unpacks else ""
    if project is None:
        script += (_HOLD_TOGETHER if unpacks else "") + _REBUILD
    else:
        # The packages of another manager's lock are installed as that has them or not at all: they need no check.
        own = [package for package, _ in locked]
        order["links"], order["scripts"] = project.links(own), project.in_order(own)
        script += _REBUILD_LOCKED
    inside = resources.files("envbuild.packages.inside")
    files = (
        (_ORDER, json.dumps(order).encode("utf-8", "surrogateescape")),
        (_SCRIPT, inside.joinpath("npm_install.js").read_bytes()),
        (_RUN_SCRIPTS, inside.joinpath("npm_scripts.js").read_bytes()),
        (_CHECK, inside.joinpath("npm_check.js").read_bytes()),
    )
    return Task(("/bin/sh", "-c", FIND_NPM + script), environment_of(action), files, tuple(dict.fromkeys(mounted)))


def _project_files(contents: Contents) -> Contents:
    return tuple((path, content) for path, content in contents if path.rpartition("/")[2] != SETTINGS)


def _locked(
    action: InstallPackages, contents: Contents, packages: Sequence[tuple[Package, str]]
) -> tuple[tuple[tuple[Package, str], ...], Project | None]:
    """Return the packages that are unpacked; and the project, if the lock of another manager names them. Raises
    OtherArchive for one that this lock has another checksum of."""
    locked = tuple((package, path) for package, path in packages if not package.origin.startswith(BUILD))
    if action.option("manager") not in OTHER_LOCKS:
        return locked, None
    project = project_of(action, contents)
    for package, path in locked:
        project.check_archive(package, path)
    return locked, project
