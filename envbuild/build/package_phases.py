"""The phases of a statement that declares packages, run: resolve, fetch, and what the installation is given."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence

from envbuild.build.file_sources import FileSources
from envbuild.build.progress import StageProgress
from envbuild.build.sandbox_actions import Executor
from envbuild.errors import DISK_TROUBLE
from envbuild.http.addresses import BadAddress, WebAddress, addresses_in, without_user
from envbuild.http.reach import Level
from envbuild.linux.nofollow import Folder, NotAFile, TooMuch
from envbuild.lockfile.lock import Package
from envbuild.packages.cache import Address, Cache, Wanted
from envbuild.packages.documents import BadDocument
from envbuild.packages.errors import Unresolved
from envbuild.packages.manager import (
    Contents,
    InParts,
    InStages,
    Joined,
    ManagerSettings,
    Servers,
    Task,
    TaskResult,
    texts_of,
)
from envbuild.packages.registry import manager_of
from envbuild.plan.step import InstallPackages, Step
from envbuild.record import Pairs, Record
from envbuild.store.objects import TooLargeToRead
from envbuild.store.store import Store
from envbuild.tree.entry import Digest
from envbuild.tree.lookup import LinkCircle

MAX_ANSWER = 64 << 20
"""Bytes of a file that a resolution leaves."""
MAX_SETTINGS = 1 << 20
"""Bytes of a tree's file of settings that are looked at."""
MAX_SECONDS = 2 * 3600.0
"""How long a resolution may take: a package manager, or code of a package, that waits for ever ends there."""

Progress = Callable[[int, int], None]


class Resolved(Record):
    """The packages that a statement means; and, if it was resolved to renew some, the reasons why they are what they
    are, by name."""

    packages: tuple[Package, ...]
    reasons: Pairs = ()


class Phases:
    """Resolves, fetches and installs for one build."""

    def __init__(
        self, store: Store, executor: Executor, machine: ManagerSettings, files: FileSources, *, own_sources: bool
    ) -> None:
        """`files` are where pinned files are looked for first. With `own_sources` nothing in the tree says where
        packages come from."""
        self._files = files
        self._store = store
        self._own_sources = own_sources
        self._executor = executor
        self._machine = machine
        self._cache = Cache(store.packages_path, store.work.exclusive)
        self._servers: dict[str, Servers] = {}
        self._addresses: dict[str, str] = {}

    def resolve(
        self,
        run: StageProgress,
        step: Step,
        contents: Contents,
        pinned: tuple[Package, ...],
        renewed: frozenset[str],
        extended: tuple[Package, ...],
        before: tuple[tuple[Package, ...], tuple[str, ...]],
        holds: bool,
        sink: Callable[[bytes], None],
    ) -> Resolved:
        """Return the packages that a statement means on the stage's tree: `pinned` ones as they are if that can be, and
        also what the tree has already if it `holds`; those whose names are in `renewed` as new as can be. `extended`
        are what the statement meant before it asked for more, `before` what it meant whatever it asked, with
        its words. Raises Unresolved and NoManager."""
        action = step.action
        assert isinstance(action, InstallPackages)

        own = action.replace(environment=()) if self._own_sources else action

        def execute(task: Task, out: str) -> TaskResult:
            asked = None
            if not task.offline:
                texts = self._settings_of_tree(run.tree, action)
                asked = self._servers_of(action).asked(own, contents, texts)
            outcome, tail = self._executor.resolve(task, out, run.tree, run.near, MAX_SECONDS, sink, asked)
            if outcome.timed_out:
                raise Unresolved(
                    action.manager,
                    f"it had not ended after {MAX_SECONDS / 3600:.0f} hours",
                    "see what it waits for, or name fewer packages in one statement",
                )
            return TaskResult(outcome.status, tail.decode(errors="replace"))

        def download(wanted: Wanted) -> str:
            def ignore(done: int, total: int) -> None:
                pass

            if not self._cache.verify(wanted.package) and self._files.bring(self._cache, [wanted.package], ignore):
                self._download([wanted], action.manager, ignore)
            return self._cache.where(wanted.package)

        with self._store.workspace(run.tree) as space:
            out = f"{space.path}/out"
            os.mkdir(out, 0o755)
            resolution = _Resolution(action, contents, out, execute, download, self._store, run.facts.epoch)
            resolution.pinned, resolution.renewed, resolution.holds = pinned, renewed, holds
            resolution.base = run.base.packages.all
            resolution.extended = extended
            resolution.before, resolution.wanted_before = before
            resolution.earlier = _earlier(run, action)
            resolution.own_sources = self._own_sources
            resolved = self._servers_of(action).resolve(resolution)
        self._addresses.update({package.hash: address for package, address in resolved if address})
        return Resolved(tuple(package for package, _ in resolved), tuple(sorted(resolution.reasons.items())))

    def fetch(
        self, action: InstallPackages, contents: Contents, packages: tuple[Package, ...], progress: Progress
    ) -> None:
        """Bring the files of packages into the cache. Raises NotToBeHad, WrongHash, TooLargeToFetch and BadName."""
        manager = manager_of(action.manager)
        fetched = [package for package in packages if not manager.is_in_tree(package)]
        lacking = [package for package in fetched if not self._cache.verify(package)]
        missing = self._files.bring(self._cache, lacking, progress)
        if missing:
            self._download([self._wanted(action, contents, package) for package in missing], manager.name, progress)

    def install_task(self, action: InstallPackages, contents: Contents, packages: tuple[Package, ...]) -> Task:
        """Return what installs the packages, whose files are in the cache."""
        return manager_of(action.manager).install_task(action, contents, self._with_paths(packages))

    def parts_of(
        self, action: InstallPackages, contents: Contents, packages: tuple[Package, ...]
    ) -> InParts | InStages | None:
        """Return the same installation in parts or in stages, None where it has none."""
        return manager_of(action.manager).parts_of(action, contents, self._with_paths(packages))

    def joined_of(self, action: InstallPackages, contents: Contents, packages: tuple[Package, ...]) -> Joined | None:
        """Return the same installation without a sandbox, None where it needs one."""
        return manager_of(action.manager).joined_of(action, contents, self._with_paths(packages))

    def _with_paths(self, packages: Sequence[Package]) -> list[tuple[Package, str]]:
        return [(package, self._cache.where(package)) for package in packages]

    def _settings_of_tree(self, tree: Digest, action: InstallPackages) -> list[str]:
        """Return the texts in which a tree may say which servers its package manager asks."""
        texts = []
        for path in () if self._own_sources else manager_of(action.manager).looks_at(action).paths:
            try:
                texts.append(self._store.read_text(tree, path.strip("/"), MAX_SETTINGS) or "")
            except (TooLargeToRead, LinkCircle):
                continue  # of no package manager's settings
        return texts

    def _servers_of(self, action: InstallPackages) -> Servers:
        """Return where the packages of a statement come from; the settings are read once for a build."""
        servers = self._servers.get(action.manager)
        if servers is None:
            # Two threads may come here at once: the first one's object is for both.
            servers = self._servers.setdefault(action.manager, manager_of(action.manager).servers(self._machine))
        return servers

    def _wanted(self, action: InstallPackages, contents: Contents, package: Package) -> Wanted:
        """Return where a package's file may be: in the user's own sources, and at the address that the resolution in
        the sandbox gave it. Raises BadName."""
        manager_of(action.manager).check(package)
        servers = self._servers_of(action)
        addresses, problems = servers.find(action, contents, package)
        resolved = self._addresses.get(package.hash, "")
        if resolved and resolved not in [address.url for address in addresses]:
            level = _level_of_resolved(resolved, servers.named(), action, contents)
            addresses = [*addresses, Address(resolved, level)]
        reasons = (*self._files.problems(package.hash), *problems)
        return Wanted(package, tuple(dict.fromkeys(addresses)), reasons, servers.look_up(package))

    def _download(self, wanted: Sequence[Wanted], manager: str, progress: Progress) -> None:
        from envbuild.packages.download import fetch  # urllib3: 70 ms, only when something is fetched

        servers = self._servers.get(manager) or manager_of(manager).servers(self._machine)
        fetch(self._cache, wanted, servers.transport(), progress)


class _Resolution:
    """A statement that is being resolved in the sandbox, as `packages.manager.Resolution` describes it."""

    pinned: tuple[Package, ...] = ()
    renewed: frozenset[str] = frozenset()
    earlier: tuple[Package, ...] = ()
    base: tuple[Package, ...] = ()
    extended: tuple[Package, ...] = ()
    before: tuple[Package, ...] = ()
    wanted_before: tuple[str, ...] = ()
    holds = False
    own_sources = False

    def __init__(
        self,
        action: InstallPackages,
        contents: Contents,
        out: str,
        execute: Callable[[Task, str], TaskResult],
        download: Callable[[Wanted], str],
        store: Store,
        epoch: int,
    ) -> None:
        self.store = store
        self.epoch = epoch
        self.action = action
        self.contents = contents
        self._out = out
        self._execute = execute
        self._download = download
        self.reasons: dict[str, str] = {}

    def run(self, task: Task) -> TaskResult:
        """Run a task on the tree, with the network."""
        return self._execute(task, self._out)

    def answer(self, name: str) -> bytes:
        """Return what the last task left under a name, which is as trustworthy as what ran in the sandbox: only a plain
        file is read, and no more of it than an answer has. Raises BadDocument."""
        try:
            with Folder(self._out) as folder:
                return folder.read(name, MAX_ANSWER)
        except OSError as error:
            if error.errno in DISK_TROUBLE:
                raise
            reason = f"{name}: {error.strerror}"
        except (NotAFile, TooMuch) as error:
            reason = str(error)
        raise BadDocument(f"what {self.action.manager} left in the sandbox", reason)

    def download(self, wanted: Wanted) -> str:
        """Bring a file into the cache, and return its path there."""
        return self._download(wanted)

    def explain(self, reasons: dict[str, str]) -> None:
        """Take note of why packages are what they are."""
        self.reasons.update(reasons)


def _earlier(run: StageProgress, action: InstallPackages) -> tuple[Package, ...]:
    """Return the packages that earlier statements of the stage put into the same place."""
    place = (action.manager, action.option("into"))
    return tuple(
        package
        for number, answer in sorted(run.answers.items())
        if isinstance(earlier := run.plan.steps[number].action, InstallPackages)
        and (earlier.manager, earlier.option("into")) == place
        for package in answer.packages
    )


def _level_of_resolved(address: str, named: Sequence[str], action: InstallPackages, contents: Contents) -> Level | None:
    """Return who gave an address that came out of a sandbox. On a server that the user or the recipe names it counts as
    named by them; other servers count as strangers of the public network."""
    texts = [*texts_of(action, contents), *(value for _, value in action.options)]
    servers = {server for text in (*named, *addresses_in(texts)) if (server := _server_of(text))}
    return None if _server_of(address) in servers else Level.PUBLIC


def _server_of(address: str) -> tuple[str, str, int] | None:
    try:
        return WebAddress(without_user(address)).server
    except BadAddress:
        return None
