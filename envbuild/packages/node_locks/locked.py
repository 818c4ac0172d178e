"""A project whose packages the lock of pnpm or yarn names: what our own lock says of it, and what links it has."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from envbuild.lockfile.lock import Package
from envbuild.packages.manager import BUILD, Contents
from envbuild.packages.node_locks import pnpm, yarn
from envbuild.packages.node_locks.graph import Graph, NodePackage
from envbuild.packages.node_locks.hoisting import hoisted
from envbuild.packages.node_locks.placement import Placement, apart
from envbuild.packages.node_locks.project import omitted
from envbuild.packages.node_locks.yarn_archive import check
from envbuild.packages.node_metadata import fits, hash_of, origin_of
from envbuild.packages.node_names import STORE
from envbuild.packages.npm_settings import setting_of
from envbuild.plan.step import InstallPackages


@dataclass(frozen=True, slots=True)
class Project:
    """A project's graph of packages, and where these lie."""

    graph: Graph
    placement: Placement

    def unfit(self, architecture: str) -> frozenset[str]:
        """Return the keys of the packages that don't run in a Node of this architecture."""
        return frozenset(key for key, package in self.graph.packages.items() if not _runs(package, architecture))

    def unsaid(self) -> dict[str, NodePackage]:
        """Return the packages of which only a registry says what it takes to lock them, by their keys: the hash, or
        where those run that nothing needs."""
        needed = self.graph.reachable(optional=False)
        return {
            key: package
            for key, package in self.graph.packages.items()
            if not package.integrity or not (package.says_platform or key in needed)
        }

    def with_more(self, packages: dict[str, NodePackage]) -> Project:
        """Return the same project, of some of whose packages more is known."""
        return Project(replace(self.graph, packages={**self.graph.packages, **packages}), self.placement)

    def packages(self, unfit: frozenset[str]) -> list[Package]:
        """Return the packages as a lock has them, without those that are left out where others do not need them.
        Raises BadName and Unresolved."""
        kept = self.graph.reachable(unfit)
        items = sorted(self.placement.packages.items())
        return [_package(place, self.graph.packages[key]) for place, key in items if key in kept]

    def answers(self, packages: Sequence[Package]) -> bool:
        """Return whether these are packages that the project's lock names, and all that it needs wherever it runs."""
        places, needed = self.placement.packages, self.graph.reachable(optional=False)
        if not {place for place, key in places.items() if key in needed} <= {package.name for package in packages}:
            return False
        for package in packages:
            if package.origin.startswith(BUILD):
                continue  # npm itself, to run scripts
            meant = self.graph.packages.get(places.get(package.name, ""))
            if meant is None or package != _package(package.name, meant, package.hash):
                return False
        return True

    def check_archive(self, package: Package, path: str) -> None:
        """Raise OtherArchive if a package's archive is not the one of which the project's lock has a checksum."""
        meant = self.graph.packages[self.placement.packages[package.name]]
        if meant.checksum:
            check(meant.name, meant.version, path, meant.checksum)

    def links(self, packages: Sequence[Package]) -> list[tuple[str, str]]:
        """Return the links between packages that are installed: each its path and that of what it leads to."""
        there = {package.name for package in packages}
        folders = {STORE, *(_folder(place) for place in there)}
        return sorted(
            (at, target)
            for at, target in self.placement.links.items()
            if target in there and (not at.startswith(f"{STORE}/") or _folder(at) in folders)
        )

    def in_order(self, packages: Sequence[Package]) -> list[str]:
        """Return the places of packages that are installed, each after those of what it needs."""
        rank = {key: number for number, key in enumerate(self.graph.needed_first())}
        places = [(rank[self.placement.packages[package.name]], package.name) for package in packages]
        return [place for _, place in sorted(places)]


def project_of(action: InstallPackages, contents: Contents) -> Project:
    """Return the project of a statement with `manager=`. Raises BadProjectLock, BadDocument and BadName."""
    omit = omitted(action, contents)
    if action.option("manager") == "pnpm":
        graph = pnpm.graph_of(contents, omit)
        if setting_of(contents, "node-linker") != "hoisted":
            return Project(graph, apart(graph))
    else:
        graph = yarn.graph_of(contents, omit)
    return Project(graph, Placement(hoisted(graph), {}))


def _folder(place: str) -> str:
    return place.partition("/node_modules/")[0]


def _runs(package: NodePackage, architecture: str) -> bool:
    return (
        fits(list(package.os), "linux") and fits(list(package.cpu), architecture) and fits(list(package.libc), "glibc")
    )


def _package(place: str, package: NodePackage, default: str = "") -> Package:
    """Return a package as our lock has it; with the hash `default` if its own has none."""
    digest = default if default and not package.integrity else hash_of(package.name, package.integrity)
    return Package(place, package.version, digest, origin_of(package.name, package.version, package.place))
