"""The phases of a statement that declares packages, run: resolve, fetch, and what the installation is given."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Sequence

from envbuild.build.package_sources import PackagesNetwork
from envbuild.build.progress import StageProgress
from envbuild.build.requirement_files import Contents
from envbuild.build.sandbox_actions import Executor
from envbuild.errors import DISK_TROUBLE
from envbuild.images.host_network import APT_SETTINGS, APT_SOURCES
from envbuild.linux.nofollow import Folder, NotAFile, TooMuch
from envbuild.lockfile.lock import Package
from envbuild.packages import apt, npm, own_sources, pip
from envbuild.packages.cache import Cache, Wanted
from envbuild.packages.documents import BadDocument
from envbuild.packages.errors import Unresolved
from envbuild.packages.task import Task
from envbuild.plan.step import InstallPackages, Step
from envbuild.sandbox.spec import Outcome
from envbuild.store.store import Store

MOST_ANSWER = 64 << 20
"""Bytes of a file that a resolution leaves."""
MOST_SECONDS = 2 * 3600.0
"""How long a resolution may take: a package manager, or code of a package, that waits for ever ends there."""
_PYTHON = re.compile(rb"[0-9]{1,3}\.[0-9]{1,3}")
MOST_ATTEMPTS = 6
"""How often a resolution is tried with fewer and fewer packages held at their locked versions."""


class Phases:
    """Resolves, fetches and installs for one build."""

    def __init__(self, store: Store, executor: Executor, network: PackagesNetwork, *, own_sources: bool) -> None:
        """With `own_sources` nothing in the tree says where packages come from."""
        self._store = store
        self._own_sources = own_sources
        self._executor = executor
        self._network = network
        self._cache = Cache(store.packages_path, store.work.exclusive)
        self._addresses: dict[str, str] = {}

    def resolve(
        self,
        run: StageProgress,
        step: Step,
        contents: Contents,
        pinned: tuple[Package, ...],
        renewed: frozenset[str],
        sink: Callable[[bytes], None],
    ) -> tuple[Package, ...]:
        """The packages that a statement means on the stage's tree: `pinned` ones as they are if that can be, those
        whose names are in `renewed` as new as can be. Raises Unresolved and NoManager."""
        action = step.action
        assert isinstance(action, InstallPackages)
        with self._store.workspace(run.tree) as space:
            out = f"{space.path}/out"
            os.mkdir(out, 0o755)
            match action.manager:
                case "apt":
                    return self._apt(run, action, contents, pinned, out, sink)
                case "pip":
                    if renewed and pinned:
                        # Held versions would hold back what is to move: so first how far that may go.
                        newest = self._pip(run, action, contents, (), out, sink)
                        pinned = (*pinned, *(package for package in newest if package.name in renewed))
                    return self._pip(run, action, contents, pinned, out, sink)
                case _:
                    return self._npm(run, action, contents, pinned, out, sink)

    def _apt(
        self,
        run: StageProgress,
        action: InstallPackages,
        contents: Contents,
        pinned: tuple[Package, ...],
        out: str,
        sink: Callable[[bytes], None],
    ) -> tuple[Package, ...]:
        source, sites = self._network.apt_source(action, contents)
        key = contents[0][1] if contents else b""
        for attempt in range(MOST_ATTEMPTS):
            task = apt.resolve_task(action, pinned, source, key)
            if self._own_sources:
                task = own_sources.apt_with_own_sources(task, APT_SETTINGS, APT_SOURCES)
            outcome, tail = self._resolve(run, task, out, action, sink)
            if outcome.status == 0:
                break
            output = tail.decode(errors="replace")
            freed = apt.to_unpin(output)
            if not pinned or outcome.status == apt.NO_APT:
                apt.refuse(outcome.status, output)
            pinned = _fewer(pinned, freed, attempt)
        architecture = _left(out, "architecture", "apt").decode("ascii", "replace").strip()
        answer = apt.read_answer(_left(out, "uris", "apt").decode(errors="replace"), architecture, sites)
        self._addresses.update({package.hash: address for package, address in answer})
        return tuple(package for package, _ in answer)

    def _pip(
        self,
        run: StageProgress,
        action: InstallPackages,
        contents: Contents,
        pinned: tuple[Package, ...],
        out: str,
        sink: Callable[[bytes], None],
    ) -> tuple[Package, ...]:
        own: tuple[Package, ...] = ()
        if any(b"--hash=" in content for _, content in contents):
            pinned = ()  # the files pin all themselves, and pip takes nothing beside them then
        for attempt in range(MOST_ATTEMPTS):
            program = self._cache.where(own[0]) if own else None
            task = pip.resolve_task(action, contents, pinned, (own[0], program) if program else None)
            if self._own_sources:
                task = own_sources.pip_with_own_sources(task, self._network.pip_settings())
            outcome, tail = self._resolve(run, task, out, action, sink)
            if outcome.status == 0:
                break
            output = tail.decode(errors="replace")
            if outcome.status == pip.NEEDS_PIP and not own:
                own = (self._own_pip(_left(out, "python", "pip")),)
                continue
            freed = pip.to_unpin(output)
            if not pinned or outcome.status >= pip.NEEDS_PIP:
                pip.refuse(outcome.status, output)
            pinned = _fewer(pinned, freed, attempt)
        left = _left(out, "found.json", "pip")
        answer = pip.read_answer(left, action, contents)
        self._addresses.update({package.hash: address for package, address in answer})
        found = tuple(package for package, _ in answer)
        return (*found, *own) if own and pip.needs_pip(left) else found

    def _npm(
        self,
        run: StageProgress,
        action: InstallPackages,
        contents: Contents,
        pinned: tuple[Package, ...],
        out: str,
        sink: Callable[[bytes], None],
    ) -> tuple[Package, ...]:
        into = action.option("into")
        earlier = [
            package
            for number, answer in sorted(run.answers.items())
            if isinstance(other := run.plan.steps[number].action, InstallPackages)
            and (other.manager, other.option("into")) == ("npm", into)
            for package in answer.packages
        ]
        # What earlier statements installed there stays; the lock's versions fill in the rest.
        held = {package.name: package for package in (*pinned, *earlier)}
        own: tuple[Package, ...] = ()
        for _ in range(MOST_ATTEMPTS):
            program = (own[0], self._cache.where(own[0])) if own else None
            task = npm.resolve_task(action, contents, held.values(), program)
            if self._own_sources:
                task = own_sources.npm_with_own_sources(task)
            outcome, tail = self._resolve(run, task, out, action, sink)
            if outcome.status == 0:
                break
            if outcome.status == npm.NEEDS_NPM and not own:
                package, address = self._network.newest_npm(npm.node_of(_left(out, "node.json", "npm"))[0])
                wanted = (Wanted(package, (address,)),)
                self._download(wanted, "npm", lambda done, total: None)
                own = (package,)
                continue
            if not held or outcome.status >= npm.NEEDS_NPM:
                npm.refuse(outcome.status, tail.decode(errors="replace"))
            held = {}
        found = npm.read_answer(action, _left(out, "package-lock.json", "npm"), _left(out, "node.json", "npm"))
        return (*found, *own) if npm.runs_scripts(action) else found

    def _resolve(
        self, run: StageProgress, task: Task, out: str, action: InstallPackages, sink: Callable[[bytes], None]
    ) -> tuple[Outcome, bytes]:
        outcome, tail = self._executor.resolve(task, out, run.tree, run.near, MOST_SECONDS, sink)
        if outcome.timed_out:
            raise Unresolved(
                action.manager,
                f"it had not ended after {MOST_SECONDS / 3600:.0f} hours",
                "see what it waits for, or name fewer packages in one statement",
            )
        return outcome, tail

    def _own_pip(self, python: bytes) -> Package:
        """A pip for a tree that has none, in the cache; `python` is the version that the tree's Python says."""
        if _PYTHON.fullmatch(python) is None:
            raise BadDocument("what Python in the sandbox says of itself", f"{python[:40]!r} is no version")
        package, address = self._network.newest_pip(python.decode())
        self._download([Wanted(package, (address,))], "pip", lambda done, total: None)
        return package

    def fetch(
        self,
        action: InstallPackages,
        contents: Contents,
        packages: tuple[Package, ...],
        progress: Callable[[int, int], None],
    ) -> None:
        """Brings the files of packages into the cache. Raises NotToBeHad, WrongHash, TooLargeToFetch and BadName."""
        here = [package for package in packages if not pip.is_in_tree(package)]
        missing = [package for package in here if not self._cache.verify(package)]
        if not missing:
            return
        known = self._addresses
        wanted = [self._network.wanted(action, contents, one, known.get(one.hash, "")) for one in missing]
        self._download(wanted, action.manager, progress)

    def _download(self, wanted: Sequence[Wanted], manager: str, progress: Callable[[int, int], None]) -> None:
        from envbuild.packages.download import fetch  # urllib3: 70 ms, only when something is fetched

        fetch(self._cache, wanted, self._network.transport(manager), progress)

    def installation(self, action: InstallPackages, contents: Contents, packages: tuple[Package, ...]) -> Task:
        """What installs the packages, whose files are in the cache."""
        pairs = [(package, self._cache.where(package)) for package in packages]
        match action.manager:
            case "apt":
                return apt.install_task(action, pairs)
            case "pip":
                return pip.install_task(action, pairs)
            case _:
                return npm.install_task(action, contents, pairs)


def _fewer(pinned: tuple[Package, ...], freed: set[str], attempt: int) -> tuple[Package, ...]:
    """What is still held at its version after a resolution failed: not what was in the way; in the end nothing."""
    kept = tuple(package for package in pinned if package.name.partition(":")[0] not in freed)
    return kept if len(kept) < len(pinned) and attempt < MOST_ATTEMPTS - 2 else ()


def _left(out: str, name: str, manager: str) -> bytes:
    """What a resolution left under this name in its folder, which is as trustworthy as what ran in the sandbox: only a
    plain file is read, and no more of it than an answer has. Raises BadDocument."""
    try:
        with Folder(out) as folder:
            return folder.read(name, MOST_ANSWER)
    except OSError as error:
        if error.errno in DISK_TROUBLE:
            raise
        reason = f"{name}: {error.strerror}"
    except (NotAFile, TooMuch) as error:
        reason = str(error)
    raise BadDocument(f"what {manager} left in the sandbox", reason)
