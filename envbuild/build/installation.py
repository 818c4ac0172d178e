"""Installs the packages of a statement: in parts that the store may have, or all at once."""

from __future__ import annotations

from collections.abc import Callable

from envbuild.build.execution import Execution
from envbuild.build.installation_site import InstallationSite, InstallationTrace
from envbuild.build.job import BuildJob
from envbuild.build.package_answers import ResolvedAnswers
from envbuild.build.part_installer import PartInstaller
from envbuild.build.progress import StageProgress
from envbuild.build.sandbox_actions import Executor
from envbuild.build.staged_installer import StagedInstaller
from envbuild.build.step_failure import Stopped
from envbuild.build.store_cache import StoreCache
from envbuild.build.walk import PendingStep
from envbuild.linux.latch import Latch
from envbuild.lockfile.lock import VERSION
from envbuild.packages.apt_stages import AptStages
from envbuild.packages.manager import CHECK, CHECK_ALL, CHECK_OTHERS, InStages
from envbuild.plan.step import InstallPackages
from envbuild.record import Pairs


class Installation:
    """How one build installs packages."""

    def __init__(
        self,
        job: BuildJob,
        executor: Executor,
        answers: ResolvedAnswers,
        cache: StoreCache,
        stop: Latch,
    ) -> None:
        """When `stop` is set, nothing new begins."""
        self._job = job
        self._executor = executor
        self._answers = answers
        self._cache = cache
        self._stop = stop

    def run(
        self,
        at: StageProgress,
        pending: PendingStep,
        action: InstallPackages,
        sink: Callable[[bytes], None],
        *,
        fresh: bool,
        traced: bool = False,
    ) -> Execution:
        """Return what the installation on a stage's tree came to. If `fresh`, nothing of an earlier one is used; if
        `traced`, what its commands read is noted. Raises Stopped."""
        trace = InstallationTrace() if traced else None
        check = self._check(at, pending.number)
        variables = ((CHECK, check),) if check else ()
        # The check of all packages starts programs among which their own code may run.
        if not fresh and check != CHECK_ALL and self._cache.may_use_parts(pending.step):
            done = self._in_parts(at, pending, action, variables, sink, trace)
            if done is not None:
                return done if trace is None else done.replace(reads=trace.reads, touched=trace.touched)
            if self._stop.is_set():
                raise Stopped
        task = self._answers.install_task(action, pending)
        task = task.replace(environment=(*task.environment, *variables))
        done = self._executor.install(pending.step, task, at.tree, at.near, pending.epoch, sink, traced=traced)
        return done.replace(touched=done.touched.replace(clocked=False))

    def _in_parts(
        self,
        at: StageProgress,
        pending: PendingStep,
        action: InstallPackages,
        variables: Pairs,
        sink: Callable[[bytes], None],
        trace: InstallationTrace | None,
    ) -> Execution | None:
        parts, joined = self._answers.parts_of(action, pending), self._answers.joined_of(action, pending)
        site = InstallationSite(
            self._job.store,
            self._executor,
            pending.step,
            at.tree,
            at.near,
            pending.epoch,
            self._cache.owners_kept,
            trace,
        )
        if isinstance(parts, InStages):
            assert isinstance(parts, AptStages)
            return StagedInstaller(site).install(parts, sink)
        installer = PartInstaller(site)
        if joined is not None:
            return installer.join(joined, sink)
        return None if parts is None else installer.install(parts, variables, sink)

    def _check(self, at: StageProgress, number: int) -> str:
        """Return which check an installation ends with: of all packages where the lock answers with some that no
        package manager chose on this tree, as far as the lock says; it says nothing of that if its version is an
        earlier one. Of what a package manager has just chosen, none."""
        answer, lock = at.answers.get(number), self._job.graph.recipe_of(at.stage).lock
        if answer is None or not answer.from_lock:
            return ""
        if lock is None or lock.version < VERSION:
            return CHECK_OTHERS
        chosen = answer.sight is not None and answer.sight in lock.results.seen.get(answer.digest, ())
        return CHECK_OTHERS if chosen else CHECK_ALL
