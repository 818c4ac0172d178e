"""The second half of a build: makes the bases and runs the steps that the cache does not have.

Each stage that is left has a thread; as many commands run in parallel as the build has jobs. When one stage fails the
others end the step that they are at, which is kept, and start no other.
"""

from __future__ import annotations

import os
import time
from _thread import start_new_thread

from envbuild.build.before_steps import check_grants, note_open_networks, warn_of_other_locks
from envbuild.build.cache_mounts import CacheUser
from envbuild.build.downloads import Downloads
from envbuild.build.drawn_notes import DrawnNotes
from envbuild.build.events import Notice, StepExplained, StepFinished
from envbuild.build.execution import Execution, NotReproducible
from envbuild.build.explain import StepExplanations
from envbuild.build.file_sources import FileSources
from envbuild.build.graph import Stage
from envbuild.build.helper_ahead import StartedHelper, next_tree, start_helper
from envbuild.build.input_check import check_inputs
from envbuild.build.inputs import Gatherer
from envbuild.build.job import BuildJob
from envbuild.build.make_bases import BaseMaker
from envbuild.build.named_inputs import parts_and_source
from envbuild.build.package_answers import ResolvedAnswers
from envbuild.build.progress import StageProgress, StepResult
from envbuild.build.sandbox_actions import Executor
from envbuild.build.sandbox_worker import Worker
from envbuild.build.step_failure import StepFailure, Stopped, report_failure, step_failed
from envbuild.build.tree_actions import Performer
from envbuild.build.tree_steps import perform
from envbuild.build.walk import BaseMissing, InputsMissing, PendingStep, StepMissing, pending_step, walk
from envbuild.contexts import ExitStack
from envbuild.errors import DISK_TROUBLE, DiskTrouble, EnvbuildError, Interrupted
from envbuild.images.network_settings import network_settings
from envbuild.language.base_kinds import RecipeBase, StageBase
from envbuild.language.one_line import one_line
from envbuild.linux.latch import Latch
from envbuild.linux.slots import Slots
from envbuild.plan import key_parts
from envbuild.plan.step import Execute, FetchFile, InstallPackages, Step
from envbuild.store.database import StoreDamaged
from envbuild.store.network_record import NetworkRecord, NetworkRecords
from envbuild.store.step_cache import Source, StepRecord
from envbuild.tree.diff import amount, removed_amount
from envbuild.tree.entry import EMPTY_CONTENT, Digest

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from envbuild.build.reuse import Reuse
    from envbuild.build.speculation import Speculation


class StageThread:
    """The thread of a stage. `ended` is set when it will do no more; `error` is what stopped it."""

    def __init__(self, stage: Stage) -> None:
        self.stage = stage
        self.ended = Latch()
        self.error: BaseException | None = None


class Scheduler:
    """Runs what one build lacks."""

    def __init__(self, job: BuildJob) -> None:
        self.job = job
        self.store = job.store
        self.progress = job.progress
        self.reporter = job.reporter
        self._cache = job.cache
        self._slots = Slots(max(1, job.request.jobs))
        self._stop = Latch()
        self._files = FileSources(job.request, job.reporter.emit, self._stop.is_set)
        self._bases = BaseMaker(job, self._files)
        self._threads: dict[int, StageThread] = {}
        self._download = Downloads(job, self._files)
        self._inputs = Gatherer(self.store, job.graph, job.sources, self._wait_for, self._download)
        self._differences: list[str] = []
        self._drawn = DrawnNotes(self.store, self.reporter)
        self._worker: Worker
        self._executor: Executor
        self._answers: ResolvedAnswers
        self._performer = Performer(self.store)
        self._explanations: StepExplanations
        self._speculation: Speculation | None = None

    def run(self, helper: StartedHelper | None = None) -> None:
        """Bring all stages of the build to their end, with the helper if it was started already. Raises the first
        failure."""
        request = self.job.request
        left = [stage for stage in self.job.graph.stages if not self.progress.has_ended(stage)]
        check_grants(self.job, left)
        note_open_networks(self.job, left)
        warn_of_other_locks(self.job, left)
        if request.places or request.offline:
            from envbuild.build.network_needs import prepare_places  # only where it matters

            prepare_places(self.job, self._files, left)
        check_inputs(self.job, left, self._files)
        with ExitStack() as stack:
            space = stack.enter_context(self.store.work.workspace())
            without = [stage for stage in left if self.progress.get(stage) is None]
            made = frozenset(stage.number for stage in without)
            self._explanations = StepExplanations(self.store, self.progress, made)
            self._bases.prepare(without, space.path, stack)
            if helper is None:
                helper = start_helper(self.store, next_tree(self.job))
            self._worker = stack.enter_context(Worker.start(self.store, helper))
            self._report_single_id()
            if self._cache.reuse is not None:
                self._cache.reuse.writes_files = True
            self._executor = Executor(
                self.store,
                self._worker,
                request.secrets,
                request.agents,
                request.devices,
                lambda tree: network_settings(self.store, tree, request.network, request.home),
                request.output_limit,
                (request.network, request.home),
            )
            self._answers = ResolvedAnswers(self.job, self._files, self._executor, self._slots, self._stop)
            self._threads = {stage.number: StageThread(stage) for stage in left}
            if request.speculate and self._cache.reuse is not None:
                self._speculation = self._speculate(self._cache.reuse)
            with self.store.work.removing_behind():
                try:
                    self._run_threads()
                finally:
                    if self._speculation is not None:
                        self._speculation.end(self._worker.cancel)
        failures = [thread.error for thread in self._threads.values() if thread.error is not None]
        real = [error for error in failures if not isinstance(error, Stopped)]
        if real:
            raise real[0]
        if self._differences:
            raise NotReproducible(self._differences)

    def _speculate(self, reuse: Reuse) -> Speculation:
        from envbuild.build.speculation import Speculation  # only where it is asked for

        def pending(at: StageProgress, number: int) -> PendingStep:
            return pending_step(at, number, at.steps[number], self._answers, self._inputs)

        def run(step: PendingStep, near: tuple[Digest, ...], sink: Callable[[bytes], None]) -> Execution:
            if self._stop.is_set():
                raise Stopped
            return self._command(step, near, sink, fresh=False)

        return Speculation(self.store, reuse, self.job.request.use_cache, self._slots, pending, run)

    def _report_single_id(self) -> None:
        ids = self._worker.ids
        if ids.kind == "single":
            # It may turn out only now, where newuidmap refuses the range.
            self._cache = self._cache.without_owners()
            self.reporter.emit(
                Notice(
                    "note",
                    f"what steps write belongs to root of the image, whatever they ask for: {ids.reason}",
                    "as root: apt-get install uidmap; usermod --add-subuids 100000-165535 --add-subgids "
                    "100000-165535 USER",
                )
            )

    def _run_threads(self) -> None:
        started: list[StageThread] = []
        try:
            for stage in self._threads.values():
                start_new_thread(self._run_stage, (stage,))
                started.append(stage)
            self._wait_for_all(started)
        except KeyboardInterrupt:
            self._stop.set()
            self._worker.cancel()
            self._wait_for_all(started)
            raise Interrupted from None

    def _wait_for_all(self, started: list[StageThread]) -> None:
        for stage in started:
            stage.ended.wait()

    # Stages

    def _run_stage(self, thread: StageThread) -> None:
        stage = thread.stage
        try:
            if isinstance(stage.base, (StageBase, RecipeBase)):
                self._wait_for(stage.needs[0])
            elif self.progress.get(stage) is None:
                self._bases.finish(stage)
            self._run_steps(stage)
        except BaseException as error:
            thread.error = error
            self._stop.set()
        finally:
            thread.ended.set()

    def _wait_for(self, number: int) -> StageProgress:
        """Return the stage of this number when it has ended. Raises Stopped if it failed."""
        thread = self._threads.get(number)
        if thread is not None:
            thread.ended.wait()
            if thread.error is not None:
                raise Stopped
        return self.progress.ended(number)

    def _run_steps(self, stage: Stage) -> None:
        while (pending := self._next_missing(stage)) is not None:
            if self._stop.is_set():
                raise Stopped
            at = self.progress[stage]
            if self.job.request.dry_run and self._is_resolved(at):
                self._fetch_later(at)
                return
            step, key = pending.step, self._key(pending)
            self.job.check_result(stage, StepResult(pending.number, step, key, "", "", 0.0, False))
            waiting = self._waiting(step)
            with self._slots, self.store.work.exclusive(f"step-{key}", waiting):
                # Another build may have run the same step while this one waited for it.
                result = self._cache.result(pending)
                if result is None and self.job.bring_here(pending.parent, *self._inputs.trees_of(stage, pending.step)):
                    result = self._cache.result(pending)  # on a tree that is here a run on another one may count
                if result is not None:
                    at.take(result)
                    self.job.take_cached(stage, result)
                    continue
                result = self._run_step(at, pending, key)
            at.take(result)
            self.reporter.count_run()
            self.job.check_result(stage, result)

    def _waiting(self, step: Step) -> Callable[[], None]:
        return lambda: self.reporter.waiting(step.text)

    def _next_missing(self, stage: Stage) -> PendingStep | None:
        """Take what the cache has of a stage; return the first step that it lacks, None at the end of the stage."""
        for met in walk((stage,), self.progress, self._cache, self._answers, self._inputs):
            if isinstance(met, StepMissing):
                return met.pending
            assert not isinstance(met, (BaseMissing, InputsMissing)), "threads wait for what they need"
            self.job.take(met)
        return None

    def _key(self, pending: PendingStep) -> str:
        return pending.key(owners_kept=self._cache.owners_kept)

    def _is_resolved(self, at: StageProgress) -> bool:
        """Return whether all that a stage installs is known, and no other stage needs its tree."""
        if any(at.stage.number in stage.needs for stage in self.job.graph.stages):
            return False
        steps = enumerate(at.plan.steps)
        return all(number in at.answers for number, step in steps if isinstance(step.action, InstallPackages))

    def _fetch_later(self, at: StageProgress) -> None:
        """Fetch what the rest of a stage fetches, so that `update --dry-run` can say what of it is another file now."""
        for step in at.plan.steps[at.next_number :]:
            if isinstance(step.action, FetchFile):
                self._inputs.gather(at.stage, step, at.facts.epoch)

    def _run_step(self, at: StageProgress, pending: PendingStep, key: str) -> StepResult:
        request, step = self.job.request, pending.step
        started = time.monotonic()
        event = self.reporter.begin_step(at.stage, pending.number, step)
        parts, source = self._parts_and_source(pending)
        network: NetworkRecord | None = None
        reuse, done = self._cache.reuse, None
        if request.explain:
            not_used = self._cache.why_not_used(step, key)
            self.reporter.emit(self._explanations.of(at, pending, event, parts, source, not_used))
        elif reuse is not None and (why := reuse.why_it_runs(key)):
            self.reporter.emit(StepExplained(event, (why,), (why,)))
        try:
            if isinstance(step.action, InstallPackages):
                self._answers.fetch(step.action, pending, event)
            if self._files.offline and isinstance(step.action, Execute) and step.action.network:
                raise self._files.needed_by(step, "it uses the network, and its result is not in this store")
            if isinstance(step.action, (Execute, InstallPackages)):
                done = self._execute(at, pending, event)
                tree, output, files, size = done.tree, done.output, done.files, done.size
                removes, network = done.removes, done.network
            else:
                tree, pending = perform(self.job, self._performer, at, pending, self._answers, self._inputs)
                key = self._key(pending)
                _, source = self._parts_and_source(pending)
                files, size = amount(self.store.trees, at.tree, tree)
                output = EMPTY_CONTENT
                removes = not files
        except (StepFailure, StoreDamaged):
            raise  # reported already; or the build begins again without what is damaged
        except (EnvbuildError, OSError) as caught:
            if isinstance(caught, OSError) and caught.errno not in DISK_TROUBLE:
                raise
            error = DiskTrouble(caught) if isinstance(caught, OSError) else caught
            if not self._stop.is_set():
                report_failure(self.reporter.emit, event, at.stage, step.text, step.place, error, started, step)
            raise error from caught
        seconds = time.monotonic() - started
        owners_kept = not isinstance(step.action, (Execute, InstallPackages)) or self._worker.ids.kind != "single"
        if isinstance(step.action, InstallPackages) or (isinstance(step.action, Execute) and not step.test):
            self._drawn.note(at.tree, tree)
        if request.record:
            self.store.steps.put(key, StepRecord(tree, output, seconds, owners_kept), step.text, source)
            if network is not None:
                NetworkRecords(self.store.database).put(key, tree, network)
        if reuse is not None and done is not None:
            self._keep_run(reuse, pending, key, done, event)
        removed, freed = removed_amount(self.store.trees, at.tree, tree) if removes else (0, 0)
        self.reporter.emit(StepFinished(event, tree, seconds, files, size, removed, freed))
        return StepResult(pending.number, step, key, tree, output, seconds, False, owners_kept)

    def _keep_run(self, reuse: Reuse, pending: PendingStep, key: str, done: Execution, event: int) -> None:
        """Keep what a step read, and hold what it left against what its record said, if it was audited."""
        step = pending.step
        different = reuse.failed_audit(pending, key, done.tree)
        if different:
            lines = "\n".join(f"  {line}" for line in different)
            self.reporter.emit(
                Notice(
                    "warning",
                    f"{step.place.file}:{step.place.line}: '{one_line(step.text)}' did something else than its record "
                    f"said:\n{lines}",
                    "its runs on other trees no longer count in this store",
                )
            )
        if done.reads is not None:
            reuse.keep(pending, done.tree, done.output, done.seconds, done.touched, done.reads)
            if done.reads.untraceable and self.job.request.trace == "all":
                why = f"what it reads can't be followed: it {done.reads.untraceable}"
                self.reporter.emit(Notice("note", f"#{event} '{one_line(step.text)}': {why}"))

    def _parts_and_source(self, pending: PendingStep) -> tuple[key_parts.Parts, Source]:
        path = self.job.graph.recipe_of(pending.stage).path
        return parts_and_source(pending, path, owners_kept=self._cache.owners_kept)

    # Steps

    def _execute(self, at: StageProgress, pending: PendingStep, event: int) -> Execution:
        step = pending.step

        def once(sink: Callable[[bytes], None], fresh: bool) -> Execution:
            if isinstance(step.action, InstallPackages):
                from envbuild.build.installation import Installation  # only where packages are installed

                installation = Installation(self.job, self._executor, self._answers, self._cache, self._stop)
                traced = self._cache.reuse is not None and self._cache.reuse.traces(pending)
                return installation.run(at, pending, step.action, sink, fresh=fresh, traced=traced)
            return self._command(pending, at.near, sink, fresh=fresh)

        sink = self.reporter.sink(event)
        ahead = self._speculation.take(pending, sink) if self._speculation is not None else None
        if isinstance(ahead, Execution):
            done = ahead
        else:
            if ahead is not None:
                self.reporter.emit(StepExplained(event, (ahead,), (ahead,)))
            if self._speculation is not None:
                self._speculation.begin(at, pending)
            # A build that is only held against another one must not depend on what this store's caches have.
            done = once(sink, fresh=not self.job.request.record)
        if self._stop.is_set() and done.outcome.status:
            # Ended by us, not by its own fault.
            raise Stopped
        if done.outcome.status:
            raise step_failed(self.job, at, step, done, event)
        if self.job.request.check and not step.test:
            again = once(lambda data: None, fresh=True)
            if again.outcome.status:
                raise step_failed(self.job, at, step, again, event)
            if again.tree != done.tree:
                self._differences += self._difference(step, done.tree, again.tree)
        return done

    def _command(
        self, pending: PendingStep, near: tuple[Digest, ...], sink: Callable[[bytes], None], *, fresh: bool
    ) -> Execution:
        """Run a step's command on the tree that it starts from."""
        step, stage, reuse = pending.step, pending.stage, self._cache.reuse
        recipe = os.path.realpath(self.job.graph.recipe_of(stage).path)
        caches = CacheUser(recipe, stage.name, fresh, stage.recipe_name, self._cache.mounts)
        traced = reuse is not None and reuse.traces(pending)
        inputs, epoch = pending.inputs, pending.epoch
        return self._executor.execute(step, inputs, pending.parent, near, epoch, caches, sink, traced=traced)

    def _difference(self, step: Step, first: Digest, second: Digest) -> list[str]:
        from envbuild.build.check_differences import differences  # only for --check

        lines = differences(self.store, first, second, ("the first run", "the second run"))
        head = f"  {step.place.file}:{step.place.line}: {one_line(step.text)}"
        return [head, *(f"    {line}" for line in lines)]
