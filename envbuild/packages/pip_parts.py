"""The parts of what `pip` installs: the files of each wheel, as the RECORD says that was written with them."""

from __future__ import annotations

import csv
import posixpath
from collections.abc import Mapping, Sequence

from envbuild.lockfile.lock import Package
from envbuild.packages.manager import BUILD, Task
from envbuild.packages.pip_tasks import file_name, install_task, requested_names
from envbuild.packages.python_names import normal_name
from envbuild.plan.step import BUILD_PROJECT, InstallPackages
from envbuild.store.objects import TooLargeToRead
from envbuild.store.store import Store
from envbuild.tree.entry import DIRECTORY, Digest
from envbuild.tree.lookup import LinkCircle, lookup

MAX_RECORD = 16 << 20
"""Bytes of a distribution's RECORD."""
_INFO = ".dist-info"


class PipParts:
    """A virtual environment, wheel by wheel."""

    def __init__(self, action: InstallPackages, paths: Mapping[Package, str]) -> None:
        """`paths` are the files of the packages in the cache."""
        self.packages = tuple(paths)
        self._action = action
        self._paths = paths
        self._requested = requested_names(action)
        self._into = (action.option("into") or "").strip("/")

    def prepare(self) -> Task:
        """Return what makes the environment without any distribution."""
        # Without the words of the statement: it is the same whatever that asks for.
        return install_task(self._action.replace(wanted=()), (), (), apart=True)

    def unpack(self, packages: Sequence[Package]) -> Task:
        """Return what installs some of the wheels."""
        return install_task(self._action, (), [(package, self._paths[package]) for package in packages], apart=True)

    def finish(self) -> None:
        """Return nothing: a wheel is whole when it is installed."""
        return

    def mark(self, package: Package) -> Sequence[str]:
        """Return the wheel, and whether its metadata say that it was asked for (PEP 376)."""
        requested = normal_name(package.name) in self._requested
        return package.hash, package.origin, "requested" if requested else "needed"

    def is_apart(self, store: Store, prepared: Digest) -> bool:
        """Return whether no other version of a distribution has to be removed."""
        have = {name for _, folder in self._metadata(store, prepared) for name in [_distribution(folder)]}
        return have.isdisjoint(normal_name(package.name) for package in self.packages)

    def paths(self, store: Store, prepared: Digest, tree: Digest, packages: Sequence[Package]) -> list[list[bytes]]:
        """Return the files of each wheel."""
        before = set(self._metadata(store, prepared))
        folders: dict[str, list[tuple[str, str]]] = {}
        for site, folder in self._metadata(store, tree):
            if (site, folder) not in before:
                folders.setdefault(_distribution(folder), []).append((site, folder))
        paths = []
        for package in packages:
            places = folders.get(normal_name(package.name), [])
            paths.append(self._recorded(store, tree, *places[0]) if len(places) == 1 else [])
        return paths

    def _metadata(self, store: Store, tree: Digest) -> list[tuple[str, str]]:
        """Return the directories with metadata of distributions: the one that each lies in, and its name."""
        folders = []
        for version in _directories(store, tree, f"{self._into}/lib"):
            site = f"{self._into}/lib/{version}/site-packages"
            folders += [(site, name) for name in _directories(store, tree, site) if name.endswith(_INFO)]
        return folders

    def _recorded(self, store: Store, tree: Digest, site: str, folder: str) -> list[bytes]:
        try:
            text = store.read_text(tree, f"{site}/{folder}/RECORD", MAX_RECORD)
            rows = list(csv.reader((text or "").splitlines()))
        except (TooLargeToRead, LinkCircle, csv.Error):
            return []
        paths = [posixpath.normpath(posixpath.join(site, row[0])) for row in rows if row]
        inside = f"{self._into}/"
        if not all(path.startswith(inside) for path in paths):
            return []
        return [path.encode("utf-8", "surrogateescape") for path in paths]


def parts_of(action: InstallPackages, packages: Sequence[tuple[Package, str]]) -> PipParts | None:
    """Return the parts of an installation; None if it builds sources, whose code may do anything to the others."""
    if action.option(BUILD_PROJECT) is not None or any(
        package.origin.startswith(BUILD) or not file_name(package).endswith(".whl") for package, _ in packages
    ):
        return None
    return PipParts(action, dict(packages))


def _directories(store: Store, tree: Digest, path: str) -> list[str]:
    try:
        entry = lookup(store.trees, tree, path.encode("utf-8", "surrogateescape"))
    except LinkCircle:
        return []
    if entry is None or entry.kind != DIRECTORY or not entry.digest:
        return []
    return [item.name.decode("utf-8", "surrogateescape") for item in store.trees.load(entry.digest) if item.kind == "d"]


def _distribution(folder: str) -> str:
    return normal_name(folder.partition("-")[0])
