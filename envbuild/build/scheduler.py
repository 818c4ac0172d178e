"""The second half of a build: makes the bases and runs the steps that the cache does not have.

A thread for each stage that is left; as many commands at once as the build has jobs. When one stage fails the
others end the step that they are at, which is kept, and start no other.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from contextlib import ExitStack
from functools import partial

from envbuild.build.cache_miss import Explainer
from envbuild.build.check_differences import differences
from envbuild.build.context import ATTEMPTS, WAIT
from envbuild.build.events import Notice, StepExplained, StepFinished, StepOutput, StepProgress
from envbuild.build.inputs import Inputs
from envbuild.build.make_bases import BaseMaker, tell_waiting
from envbuild.build.package_lock import pins
from envbuild.build.sandbox_actions import Execution, Executor, NotReproducible
from envbuild.build.sandbox_worker import Worker
from envbuild.build.stage import StageRun, StepResult, cached_result
from envbuild.build.state import NotYet, RecipeRun, Session
from envbuild.build.step_failure import StepFailure, Stopped, step_failed, tell_failure
from envbuild.build.tree_actions import Performer
from envbuild.errors import DISK_TROUBLE, DiskTrouble, EnvbuildError, Interrupted
from envbuild.images.network_settings import network_settings
from envbuild.lockfile.lock import Package
from envbuild.plan import key_parts
from envbuild.plan.step import Execute, InstallPackages, Step
from envbuild.store.database import StoreDamaged
from envbuild.store.objects import ContentChanged
from envbuild.store.step_cache import Source, StepRecord
from envbuild.tree.diff import amount
from envbuild.tree.entry import EMPTY_CONTENT, Digest

TYPE_CHECKING = False
if TYPE_CHECKING:
    from envbuild.build.package_phases import Phases
    from envbuild.packages.manager import Contents


class MissingRunner:
    """Runs what one build lacks."""

    def __init__(self, session: Session) -> None:
        self.session = session
        self.store = session.store
        self._slots = threading.Semaphore(max(1, session.request.jobs))
        self._stop = threading.Event()
        self._bases = BaseMaker(session)
        self._differences: list[str] = []
        self._worker: Worker
        self._executor: Executor
        self._made_phases: Phases | None = None
        self._making_phases = threading.Lock()
        self._performer = Performer(self.store)
        self._explainer = Explainer(self.store)

    def run(self) -> None:
        """Brings all stages of the build to their end. Raises the first failure."""
        session = self.session
        left = [(one, run) for one in session.recipes for run in one.runs if not run.done.is_set()]
        with ExitStack() as stack:
            space = stack.enter_context(self.store.work.workspace())
            self._bases.prepare(left, space.path, stack)
            self._worker = stack.enter_context(Worker.start(self.store))
            self._tell_single_id()
            request = session.request
            self._executor = Executor(
                self.store,
                self._worker,
                request.secrets,
                lambda tree: network_settings(self.store, tree, request.network, request.home),
                request.output_limit,
            )
            session.waiting = True
            session.resolve = self._resolve
            with self.store.work.removing_behind():
                self._run_threads(left)
        failures = [run.error for _, run in left if run.error is not None]
        real = [error for error in failures if not isinstance(error, (Stopped, NotYet))]
        if real:
            raise real[0]
        if self._differences:
            raise NotReproducible(self._differences)

    def _tell_single_id(self) -> None:
        ids = self._worker.ids
        if ids.kind == "single":
            # It may turn out only now, where newuidmap refuses the range.
            self.session.owners_kept = False
            self.session.emit(
                Notice(
                    "note",
                    f"what steps write belongs to root of the image, whatever they ask for: {ids.reason}",
                    "as root: apt-get install uidmap; usermod --add-subuids 100000-165535 --add-subgids "
                    "100000-165535 USER",
                )
            )

    def _run_threads(self, left: list[tuple[RecipeRun, StageRun]]) -> None:
        threads = [
            threading.Thread(target=self._stage, args=pair, name=f"stage {pair[1].name}", daemon=True) for pair in left
        ]
        try:
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join()
        except KeyboardInterrupt:
            self._stop.set()
            self._worker.cancel()
            for thread in threads:
                thread.join()
            raise Interrupted from None

    # Stages

    def _stage(self, one: RecipeRun, run: StageRun) -> None:
        try:
            if run.stage.base.kind in ("stage", "recipe"):
                run.needs[0].done.wait()
                if run.needs[0].error is not None:
                    raise Stopped("")
            if run.base is None:
                self._bases.finish(one, run)
            self._steps(one, run)
        except BaseException as error:
            run.error = error
            self._stop.set()
        finally:
            run.done.set()

    def _steps(self, one: RecipeRun, run: StageRun) -> None:
        session = self.session
        while True:
            missing = run.advance(one.gatherer, session.on_cached, session.look_up, owners_kept=session.owners_kept)
            if missing is None:
                return
            if self._stop.is_set():
                raise Stopped("")
            if session.request.dry_run and self._is_resolved(run):
                return
            step, key, inputs = missing
            session.check_step(run, StepResult(step, key, "", "", 0.0, False))
            with self._slots, self.store.work.exclusive(f"step-{key}", partial(tell_waiting, session, step.text)):
                # Another build may have run the same step while this one waited for it.
                record = session.look_up(step, key)
                if record is not None:
                    result = cached_result(step, key, record)
                    run.finish_step(result)
                    session.on_cached(run, result)
                    continue
                result = self._step(run, step, key, inputs)
            run.finish_step(result)
            session.count("ran")
            session.check_step(run, result)

    def _is_resolved(self, run: StageRun) -> bool:
        """Whether all that a stage installs is known, and nobody waits for its tree."""
        needed = any(other is run for one in self.session.recipes for each in one.runs for other in each.needs)
        steps = enumerate(run.plan.steps)
        return not needed and all(n in run.answers for n, step in steps if isinstance(step.action, InstallPackages))

    def _step(self, run: StageRun, step: Step, key: str, inputs: Inputs) -> StepResult:
        session = self.session
        number = session.step_number(run, step)
        started = time.monotonic()
        place = step.place
        session.begin(run, step)
        made_of = session.parts(run, step, inputs)
        source = session.source(run, step, made_of)
        if session.request.explain:
            session.emit(StepExplained(number, self._reasons(run, step, key, source, made_of, inputs)))
        try:
            if isinstance(step.action, InstallPackages):
                self._fetch(step.action, inputs, number)
            if isinstance(step.action, (Execute, InstallPackages)):
                done = self._execute(run, step, inputs, number)
                tree, output, files, size = done.tree, done.output, done.files, done.size
            else:
                tree, key, inputs = self._perform(run, step, key, inputs)
                source = session.source(run, step, session.parts(run, step, inputs))
                files, size = amount(self.store.trees, run.tree, tree)
                output = EMPTY_CONTENT
        except (StepFailure, StoreDamaged):
            raise  # told already; or the build begins again without what is damaged
        except (EnvbuildError, OSError) as caught:
            if isinstance(caught, OSError) and caught.errno not in DISK_TROUBLE:
                raise
            error = DiskTrouble(caught) if isinstance(caught, OSError) else caught
            if not self._stop.is_set():
                tell_failure(session, number, run, step.text, place, error, started)
            raise error from caught
        seconds = time.monotonic() - started
        owners_kept = not isinstance(step.action, (Execute, InstallPackages)) or self._worker.ids.kind != "single"
        if session.request.record:
            self.store.steps.put(key, StepRecord(tree, output, seconds, owners_kept), step.text, source)
        session.emit(StepFinished(number, tree, seconds, files, size))
        return StepResult(step, key, tree, output, seconds, False, owners_kept)

    def _resolve(self, one: RecipeRun, run: StageRun, step: Step, contents: Contents) -> tuple[Package, ...]:
        """Asks the package manager what a statement means, since the lock does not say."""
        session = self.session
        number = session.step_number(run, step)
        action = step.action
        assert isinstance(action, InstallPackages)
        started = time.monotonic()
        session.begin(run, step)
        renewed = frozenset(session.request.renew)
        pinned = pins(run, action.manager, renewed)

        def sink(data: bytes) -> None:
            session.emit(StepOutput(number, data))

        try:
            with self._slots:
                found = self._phases.resolve(run, step, contents, pinned, renewed, sink)
        except EnvbuildError as error:
            if not self._stop.is_set():
                tell_failure(session, number, run, step.text, step.place, error, started)
            raise
        seconds = time.monotonic() - started
        sink(f"{action.manager} resolved {len(found)} packages in {seconds:.1f}s\n".encode())
        return found

    @property
    def _phases(self) -> Phases:
        """Made only for statements about packages: its imports are more than a small build takes."""
        from envbuild.build.package_phases import Phases

        with self._making_phases:
            if self._made_phases is None:
                from envbuild.packages.manager import Machine

                request = self.session.request
                machine = Machine(request.network, request.home, request.fetch_limit)
                self._made_phases = Phases(self.store, self._executor, machine, own_sources=request.own_sources)
            return self._made_phases

    def _fetch(self, action: InstallPackages, inputs: Inputs, number: int) -> None:
        def progress(done: int, total: int) -> None:
            if self._stop.is_set():
                raise Stopped("")
            self.session.emit(StepProgress(number, done, total, "bytes"))

        self._phases.fetch(action, inputs.contents, inputs.packages, progress)

    def _perform(self, run: StageRun, step: Step, key: str, inputs: Inputs) -> tuple[Digest, str, Inputs]:
        """The tree that an action makes, and the key and inputs that it had: files that change while they are
        copied are looked at again, and are other inputs then."""
        for attempt in range(1, ATTEMPTS + 1):
            try:
                return self._performer.perform(step, inputs, run.tree, run.facts.epoch), key, inputs
            except ContentChanged as error:
                if attempt == ATTEMPTS:
                    raise
                self.session.emit(Notice("note", f"{error.path} changed while it was copied: reading it again"))
                time.sleep(WAIT * attempt)
                key, inputs = run.key_and_inputs(
                    step, self.session.owners[id(run)].gatherer, owners_kept=self.session.owners_kept
                )
        raise AssertionError("the last attempt raises or returns")

    def _reasons(
        self, run: StageRun, step: Step, key: str, source: Source, made_of: key_parts.Parts, inputs: Inputs
    ) -> tuple[str, ...]:
        told = self.session.why_not_cached(step, key)
        if told:
            return (told,)
        texts = [one.text for one in (*run.plan.steps, *run.plan.tests)]
        before = self.store.steps.nearest(step.text, source, texts)
        return self._explainer.reasons(key_parts.load(before) if before else None, made_of, inputs)

    def _execute(self, run: StageRun, step: Step, inputs: Inputs, number: int) -> Execution:
        session = self.session

        def sink(data: bytes) -> None:
            session.emit(StepOutput(number, data))

        def once(sink: Callable[[bytes], None]) -> Execution:
            parent, near, epoch = run.tree, run.near, run.facts.epoch
            if isinstance(step.action, InstallPackages):
                task = self._phases.install_task(step.action, inputs.contents, inputs.packages)
                return self._executor.install(step, task, parent, near, epoch, sink)
            return self._executor.execute(step, inputs, parent, near, epoch, sink)

        done = once(sink)
        if self._stop.is_set() and done.outcome.status:
            # Ended by us, not by its own fault.
            raise Stopped("")
        if done.outcome.status:
            raise step_failed(session, run, step, done, number)
        if session.request.check and not step.test:
            again = once(lambda data: None)
            if again.outcome.status:
                raise step_failed(session, run, step, again, number)
            if again.tree != done.tree:
                self._differences += self._difference(step, done.tree, again.tree)
        return done

    def _difference(self, step: Step, first: Digest, second: Digest) -> list[str]:
        found = differences(self.store, first, second, ("the first run", "the second run"))
        head = f"  {step.place.file}:{step.place.line}: {step.text.splitlines()[0]}"
        return [head, *(f"    {line}" for line in found)]
