"""What statements about packages mean while a build runs: the lock says it, or an earlier build that failed, or their
package manager does. And the files of these packages."""

from __future__ import annotations

import time
from _thread import allocate_lock

from envbuild.build.events import StepProgress
from envbuild.build.file_sources import FileSources
from envbuild.build.job import BuildJob
from envbuild.build.locked_answers import LockedAnswers
from envbuild.build.package_lock import before, extended, pins
from envbuild.build.package_question import Question, sight_of
from envbuild.build.partial_lock import PartialLock
from envbuild.build.progress import Answer, NotKnownYet, StageProgress
from envbuild.build.resolver_output import ResolverOutput
from envbuild.build.sandbox_actions import Executor
from envbuild.build.step_failure import Stopped, report_failure
from envbuild.build.walk import PendingStep
from envbuild.errors import EnvbuildError
from envbuild.lockfile.lock import Package
from envbuild.plan.step import InstallPackages
from envbuild.record import values

TYPE_CHECKING = False
if TYPE_CHECKING:
    from envbuild.build.package_phases import Phases, Resolved
    from envbuild.linux.latch import Latch
    from envbuild.linux.slots import Slots
    from envbuild.packages.manager import Contents, InParts, InStages, Joined, Task


class ResolvedAnswers:
    """The packages that statements of one build ask for, for all of its threads."""

    def __init__(
        self,
        job: BuildJob,
        files: FileSources,
        executor: Executor,
        slots: Slots,
        stop: Latch,
    ) -> None:
        """Package managers run in one of the `slots`; when `stop` is set, downloads end."""
        request = job.request
        self._job = job
        self._files = files
        self._executor = executor
        self._slots = slots
        self._stop = stop
        self._renew = frozenset(request.renew)
        self._locked = LockedAnswers(job.graph, job.store, renew=self._renew, strict=request.locked)
        self._partial = PartialLock(
            job.store,
            job.graph,
            reads=not (request.refresh or request.renew) and request.publish,
            writes=request.record and request.publish and not request.dry_run,
        )
        self._made_phases: Phases | None = None
        self._making_phases = allocate_lock()

    def find(self, stage: StageProgress, number: int, question: Question, contents: Contents) -> Answer:
        """Return the packages that step `number` of a stage asks for: as the lock says, else as its package manager
        does."""
        try:
            return self._locked.find(stage, number, question, contents)
        except NotKnownYet:
            if self._job.bring_here(stage.tree):
                return self.find(stage, number, question, contents)
        action = stage.steps[number].action
        assert isinstance(action, InstallPackages)
        if self._files.offline:
            raise self._files.needed_by(stage.steps[number], "the lock does not say which packages it means")
        sight = sight_of(self._job.store, stage.tree, action, stage.after(number))
        pinned = pins(stage.stage, action.manager, self._renew)
        answer = self._partial.find(stage, number, question, sight, pinned)
        if answer is None:
            lock = self._job.graph.recipe_of(stage.stage).lock
            fewer = () if self._renew or lock is None else extended(stage, number, question, sight, lock.results)
            resolved = self._resolve(stage, number, contents, pinned, fewer)
            # In the order that a lock has them, which the step's key depends on.
            packages = tuple(sorted(resolved.packages, key=values))
            answer = Answer(question, packages, False, sight, resolved.reasons)
            self._partial.add(stage, number, pinned, answer)
        return answer

    def _resolve(
        self,
        at: StageProgress,
        number: int,
        contents: Contents,
        pinned: tuple[Package, ...],
        fewer: tuple[Package, ...],
    ) -> Resolved:
        step, reporter = at.steps[number], self._job.reporter
        action = step.action
        assert isinstance(action, InstallPackages)
        started = time.monotonic()
        event = reporter.begin_step(at.stage, number, step)
        meant = before(at, number, action.manager)
        sink = reporter.sink(event)
        holds = not self._job.request.refresh
        printed = ResolverOutput(sink)
        try:
            with self._slots:
                resolved = self._phases.resolve(
                    at, step, contents, pinned, self._renew, fewer, meant, holds, printed.write
                )
            printed.end(None)
        except EnvbuildError as error:
            printed.end(error.message)
            if not self._stop.is_set():
                report_failure(reporter.emit, event, at.stage, step.text, step.place, error, started, step)
            raise
        seconds = time.monotonic() - started
        number = len(resolved.packages)
        sink(f"{action.manager} resolved {number} package{'s' * (number != 1)} in {seconds:.1f}s\n".encode())
        return resolved

    def fetch(self, action: InstallPackages, pending: PendingStep, event: int) -> None:
        """Bring the files of a step's packages into the cache, and tell how far it is. Raises NotToBeHad, WrongHash and
        Stopped."""

        def progress(done: int, total: int) -> None:
            if self._stop.is_set():
                raise Stopped
            self._job.reporter.emit(StepProgress(event, done, total, "bytes"))

        from envbuild.packages.errors import NotToBeHad, WrongHash
        from envbuild.packages.lock_tools import renewal_of

        contents = pending.inputs.contents
        try:
            self._phases.fetch(action, contents, pending.inputs.packages, progress)
        except NotToBeHad as error:
            locked = self._job.graph.recipe_of(pending.stage).lock is not None
            raise NotToBeHad(error.package, error.reasons, locked, renewal_of(contents, error.package)) from error
        except WrongHash as error:
            renewal = renewal_of(contents, error.package)
            raise WrongHash(error.package, error.actual, error.where, renewal) from error

    def install_task(self, action: InstallPackages, pending: PendingStep) -> Task:
        """Return what installs a step's packages, whose files are in the cache."""
        return self._phases.install_task(action, pending.inputs.contents, pending.inputs.packages)

    def parts_of(self, action: InstallPackages, pending: PendingStep) -> InParts | InStages | None:
        """Return the same installation in parts or in stages, None where it has none."""
        return self._phases.parts_of(action, pending.inputs.contents, pending.inputs.packages)

    def joined_of(self, action: InstallPackages, pending: PendingStep) -> Joined | None:
        """Return the same installation without a sandbox, None where it needs one."""
        return self._phases.joined_of(action, pending.inputs.contents, pending.inputs.packages)

    @property
    def _phases(self) -> Phases:
        """The package managers, loaded only where packages are declared: the imports take longer than a small build."""
        from envbuild.build.package_phases import Phases

        with self._making_phases:
            if self._made_phases is None:
                from envbuild.packages.manager import ManagerSettings

                request = self._job.request
                machine = ManagerSettings(request.network, request.home, request.fetch_limit, request.snapshot)
                self._made_phases = Phases(
                    self._job.store, self._executor, machine, self._files, own_sources=request.own_sources
                )
            return self._made_phases
