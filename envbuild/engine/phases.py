"""The phases of a statement that declares packages, run: resolve, fetch, and what the installation is given."""

from __future__ import annotations

import os
from collections.abc import Callable

from envbuild.engine.execute import Executor
from envbuild.engine.packages_network import PackagesNetwork
from envbuild.engine.session import RecipeRun
from envbuild.engine.stage_run import StageRun
from envbuild.lock import Package
from envbuild.packages import apt
from envbuild.packages.download import Cache, Wanted
from envbuild.packages.errors import Unresolved
from envbuild.packages.task import Task
from envbuild.plan.step import InstallPackages, Step
from envbuild.store.store import Store

MOST_ATTEMPTS = 6
"""How often a resolution is tried with fewer and fewer packages held at their locked versions."""


class Phases:
    """Resolves, fetches and installs for one build."""

    def __init__(self, store: Store, executor: Executor, network: PackagesNetwork) -> None:
        self._store = store
        self._executor = executor
        self._network = network
        self._cache = Cache(store.packages_path, store.work.exclusive)
        self._addresses: dict[str, str] = {}

    def resolve(
        self,
        one: RecipeRun,
        run: StageRun,
        step: Step,
        contents: tuple[bytes, ...],
        pinned: tuple[Package, ...],
        sink: Callable[[bytes], None],
    ) -> tuple[Package, ...]:
        """The packages that a statement means on the stage's tree. Raises Unresolved."""
        action = step.action
        assert isinstance(action, InstallPackages)
        with self._store.workspace(run.tree) as space:
            out = f"{space.path}/out"
            os.mkdir(out, 0o755)
            return self._apt(run, action, contents, pinned, out, sink)

    def _apt(
        self,
        run: StageRun,
        action: InstallPackages,
        contents: tuple[bytes, ...],
        pinned: tuple[Package, ...],
        out: str,
        sink: Callable[[bytes], None],
    ) -> tuple[Package, ...]:
        source, sites = self._network.apt_source(action, contents)
        key = contents[0] if contents else b""
        for _ in range(MOST_ATTEMPTS):
            task = apt.resolve_task(action, pinned, source, key)
            outcome, tail = self._executor.resolve(task, out, run.tree, run.near, sink)
            if outcome.status == 0:
                break
            output = tail.decode(errors="replace")
            freed = apt.to_unpin(output)
            kept = tuple(package for package in pinned if package.name.partition(":")[0] not in freed)
            if not pinned:
                raise Unresolved("apt", apt.reason(output))
            pinned = kept if len(kept) < len(pinned) else ()
        answer = apt.read_answer(_text(f"{out}/uris"), _text(f"{out}/architecture").strip(), sites)
        self._addresses.update({package.hash: address for package, address in answer})
        return tuple(package for package, _ in answer)

    def fetch(
        self,
        action: InstallPackages,
        contents: tuple[bytes, ...],
        packages: tuple[Package, ...],
        progress: Callable[[int, int], None],
    ) -> None:
        """Brings the files of packages into the cache. Raises NotToBeHad and WrongHash."""
        missing = [package for package in packages if not self._cache.verify(package)]
        if not missing:
            return
        wanted = []
        for package in missing:
            known = self._addresses.get(package.hash)
            others = self._network.addresses(action, contents, package)
            wanted.append(Wanted(package, tuple(dict.fromkeys([known, *others] if known else others))))
        self._cache.fetch(wanted, self._network.transport(action.manager), progress)

    def installation(self, action: InstallPackages, packages: tuple[Package, ...]) -> Task:
        """What installs the packages, whose files are in the cache."""
        return apt.install_task(action, [(package, self._cache.where(package)) for package in packages])


def _text(path: str) -> str:
    with open(path, encoding="utf-8", errors="replace") as file:
        return file.read()
