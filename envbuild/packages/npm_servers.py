"""Where this machine gets Node packages from: the registry that npm is set to use."""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import cached_property

from urllib3.exceptions import HTTPError

from envbuild.errors import MachineLacks, fields
from envbuild.http.addresses import addresses_in
from envbuild.http.connections import Connections
from envbuild.http.transport import Transport
from envbuild.images.host_network import default_registry, npm_registry
from envbuild.lockfile.lock import Package
from envbuild.packages import npm_kept, npm_tasks
from envbuild.packages.cache import Address, Wanted
from envbuild.packages.credentials import headers_of
from envbuild.packages.documents import fields_of
from envbuild.packages.errors import NotToBeHad, TooLargeToFetch, Unresolved, WrongHash
from envbuild.packages.manager import BUILD, MAX_ATTEMPTS, Asked, Contents, ManagerSettings, Resolution, texts_of
from envbuild.packages.node_locks import OTHER_LOCKS
from envbuild.packages.node_locks.locked import project_of
from envbuild.packages.node_names import STORE
from envbuild.packages.node_parts import NodeParts
from envbuild.packages.npm_archive import Odd
from envbuild.packages.npm_metadata import ACCEPT, described
from envbuild.packages.npm_settings import LOCK_NAMES
from envbuild.plan.step import InstallPackages

_STABLE = re.compile(r"[0-9]{1,6}\.[0-9]{1,6}\.[0-9]{1,6}")


@fields
class NoRegistry(MachineLacks):
    """Nothing on this machine says where npm's packages are."""

    def text(self) -> tuple[str, str]:
        return (
            "npm: this machine has no registry configured, and no npm whose default it could use",
            "set it in ~/.npmrc (registry=https://...), or install npm: apt-get install npm",
        )


class NpmServers:
    """The server of npm's registry."""

    def __init__(self, machine: ManagerSettings) -> None:
        self._machine = machine

    def resolve(self, resolution: Resolution) -> Sequence[tuple[Package, str]]:
        """Return the packages that a statement means. Raises Unresolved, NoManager, NoRegistry, BadName and
        BadDocument."""
        action, contents = resolution.action, resolution.contents
        if action.option("manager") in OTHER_LOCKS:
            return self._named_by_lock(resolution)
        # What earlier statements installed there stays; the lock's versions fill in the rest.
        held = {package.name: package for package in _of_npm((*resolution.pinned, *resolution.earlier))}
        before = _of_npm((*resolution.earlier, *resolution.before))
        kept = self._kept(resolution, before)
        # Words in npm's arguments mean the newest version that fits, also of what is locked.
        stays = () if resolution.renewed else npm_tasks.plain_words(resolution.wanted_before)
        mounted: tuple[Package, str] | None = None
        for _ in range(MAX_ATTEMPTS):
            if kept is not None:
                task = npm_tasks.add_task(action, contents, kept, mounted, stays)
            else:
                renewed = resolution.renewed if resolution.holds else None
                task = npm_tasks.resolve_task(action, contents, held.values(), mounted, renewed, stays)
            if resolution.own_sources:
                task = npm_tasks.with_own_sources(task)
            ended = resolution.run(task)
            if ended.status == npm_tasks.NEEDS_NPM and mounted is None:
                package, address = self.newest_npm(npm_tasks.node_of(resolution.answer("node.json"))[0])
                mounted = package, resolution.download(Wanted(package, (address,)))
                continue
            if ended.status == 0:
                packages = self._read_answer(resolution)
                if kept is None:
                    break
                added = npm_kept.only_added(packages, before)
                if added is not None:
                    packages = added
                    break
            if kept is not None:
                kept = None  # something has to move, or npm says what is wrong when it knows all
                continue
            if not held or ended.status >= npm_tasks.NEEDS_NPM:
                npm_tasks.refuse(ended.status, ended.output)
            missing = npm_tasks.not_found(ended.output)
            stays = ()  # npm looks only into what it renews for what is missing
            gone = [path for path in held if path.rpartition("node_modules/")[2] in missing]
            held = {path: package for path, package in held.items() if gone and path not in gone}
        else:
            packages = self._read_answer(resolution)
        if resolution.renewed:
            resolution.explain(npm_tasks.reasons(resolution.answer("package-lock.json"), held.values()))
        own = (mounted[0],) if mounted and npm_tasks.runs_scripts(action) else ()
        return [(package, "") for package in (*packages, *own)]

    def _kept(self, resolution: Resolution, before: Sequence[Package]) -> bytes | None:
        """Return a lock that says of all packages that are held what npm would ask the registry for, None where it has
        to ask."""
        contents = resolution.contents
        own_lock = any(path.rpartition("/")[2] in LOCK_NAMES for path, _ in contents)
        if not before or resolution.renewed or own_lock:
            return None
        held = {package.name: package for package in _of_npm((*resolution.pinned, *before))}
        try:
            files = [(package, resolution.download(Wanted(package, ()))) for package in held.values()]
            parts = NodeParts(resolution.store, resolution.epoch)
            return npm_kept.lock_of(files, before, parts, lambda name: self._registry_for(contents, name))
        except (NotToBeHad, WrongHash, TooLargeToFetch, NoRegistry, Odd):
            return None

    def _read_answer(self, resolution: Resolution) -> Sequence[Package]:
        action, answer = resolution.action, resolution.answer
        omit = npm_tasks.omitted(action, answer("omit"))
        return npm_tasks.read_answer(action, answer("package-lock.json"), answer("node.json"), omit)

    def _named_by_lock(self, resolution: Resolution) -> list[tuple[Package, str]]:
        """Return the packages that a project's lock names for the tree's Node: nothing is chosen anew."""
        action, contents = resolution.action, resolution.contents
        project = project_of(action, contents)
        task = npm_tasks.ask_node_task(action)
        ended = resolution.run(npm_tasks.with_own_sources(task) if resolution.own_sources else task)
        if ended.status not in (0, npm_tasks.NEEDS_NPM):
            npm_tasks.refuse(ended.status, ended.output)
        node, architecture = npm_tasks.node_of(resolution.answer("node.json"))
        unsaid = project.unsaid()
        if unsaid:
            registries = {key: self._registry_for(contents, package.name) for key, package in unsaid.items()}
            project = project.with_more(described(unsaid, registries, self._connections))
        # npm runs the scripts.
        own = [self.newest_npm(node)[0]] if ended.status else []
        return [(package, "") for package in (*project.packages(project.unfit(architecture)), *own)]

    def _registry_for(self, contents: Contents, name: str) -> str:
        return npm_tasks.project_registry(contents, name) or self.registry

    def asked(self, action: InstallPackages, contents: Contents, texts: Sequence[str]) -> Asked:
        """Return the user's registry, those of the project's settings, and what the project names by its address."""
        try:
            own = [self.registry]
        except NoRegistry:
            own = []  # the project may name one for each package
        values = [value for _, value in action.environment]
        return Asked((*own, *addresses_in(texts_of(action, contents))), tuple(addresses_in([*texts, *values])))

    def find(self, action: InstallPackages, contents: Contents, package: Package) -> tuple[list[Address], list[str]]:
        """Return the place of a package in the registry that the project names, else in the user's. Raises
        NoRegistry."""
        origin = package.origin.removeprefix(BUILD)
        own = "" if package.origin.startswith(BUILD) else npm_tasks.project_registry(contents, origin)
        return [Address(f"{own or self.registry}/{origin}")], []

    def look_up(self, package: Package) -> None:
        """Return None: the index keeps what it once had."""

    def named(self) -> Sequence[str]:
        """Return nothing: npm's answers have no addresses."""
        return ()

    def newest_npm(self, node: str) -> tuple[Package, Address]:
        """Return the newest npm that runs with a Node of this version (`v18.19.0`), with its address. Raises
        Unresolved."""
        try:
            page = self._connections.read(f"{self.registry}/npm", {"Accept": ACCEPT})
        except HTTPError as error:
            raise Unresolved("npm", f"the tree has no npm, and none can be fetched: {error}") from error
        fields = fields_of(page.content, f"{self.registry}/npm").fields("versions") if page.status == 200 else None
        versions = dict(fields.items()) if fields is not None else {}
        stable = [version for version in versions if _STABLE.fullmatch(version)]
        for version in sorted(stable, key=lambda text: [int(part) for part in text.split(".")], reverse=True):
            metadata = versions[version]
            if npm_tasks.fits_engine(metadata.fields("engines").text("node", "*"), node):
                package = npm_tasks.package_of("npm", metadata)
                address = Address(f"{self.registry}/{package.origin}")
                return package.replace(origin=f"{BUILD}{package.origin}"), address
        raise Unresolved("npm", f"the tree has no npm, and the registry has none that fits Node {node}")

    def transport(self) -> Transport:
        """Return how servers are reached: with the users of ~/.netrc."""
        return Transport((), "", headers_of([], [f"{self._machine.home}/.netrc"]), self._machine.max_file)

    @cached_property
    def registry(self) -> str:
        """The registry's address. Raises NoRegistry."""
        registry = npm_registry(dict(self._machine.variables), self._machine.home) or default_registry()
        if not registry:
            raise NoRegistry
        return registry.rstrip("/")

    @cached_property
    def _connections(self) -> Connections:
        return Connections(self.transport())


def _of_npm(packages: Sequence[Package]) -> tuple[Package, ...]:
    """Return those of some packages that lie where npm puts them: a statement may have been one of pnpm's before."""
    return tuple(package for package in packages if not package.name.startswith(f"{STORE}/"))
