"""The second half of a build: makes the bases and runs the steps that the cache does not have.

A thread for each stage that is left; as many commands at once as the build has jobs. When one stage fails the
others end the step that they are at, which is kept, and start no other.
"""

from __future__ import annotations

import json
import threading
import time
from contextlib import ExitStack
from functools import partial

from envbuild.engine.context import ATTEMPTS, WAIT
from envbuild.engine.differences import differences
from envbuild.engine.events import Notice, StepExplained, StepFailed, StepFinished, StepOutput, StepStarted
from envbuild.engine.execute import Execution, Executor, NotReproducible
from envbuild.engine.inputs import Inputs
from envbuild.engine.machine_network import network_settings
from envbuild.engine.perform import Performer
from envbuild.engine.session import NotYet, RecipeRun, Session
from envbuild.engine.stage_run import StageRun, StepResult, cached_result
from envbuild.engine.why import Explainer
from envbuild.engine.worker import Worker
from envbuild.errors import EnvbuildError, Interrupted, WorkFailed
from envbuild.plan import parts
from envbuild.plan.facts import dump
from envbuild.plan.step import Execute, Step
from envbuild.store.database import StoreDamaged
from envbuild.store.images import Failure
from envbuild.store.objects import ContentChanged
from envbuild.store.records import Source, StepRecord
from envbuild.tree.diff import amount
from envbuild.tree.entry import EMPTY_CONTENT, Digest

TYPE_CHECKING = False
if TYPE_CHECKING:
    from envbuild.bases.target import PreparedBase


class StepFailure(WorkFailed):
    """A command of the recipe did not succeed. It was told as an event already."""

    def __init__(self, message: str) -> None:
        super().__init__(message)
        self.told = True


class Stopped(EnvbuildError):
    """A stage was given up because another one failed. Never leaves the engine."""


class MissingRunner:
    """Runs what one build lacks."""

    def __init__(self, session: Session) -> None:
        self.session = session
        self.store = session.store
        self._slots = threading.Semaphore(max(1, session.request.jobs))
        self._stop = threading.Event()
        self._prepared: dict[int, PreparedBase] = {}
        self._differences: list[str] = []
        self._worker: Worker
        self._executor: Executor
        self._performer = Performer(self.store)
        self._explainer = Explainer(self.store)

    def run(self) -> None:
        """Brings all stages of the build to their end. Raises the first failure."""
        session = self.session
        left = [(one, run) for one in session.recipes for run in one.runs if not run.done.is_set()]
        with ExitStack() as stack:
            space = stack.enter_context(self.store.work.workspace())
            for one, run in left:
                self._prepare(one, run, space.path, stack)
            self._worker = stack.enter_context(Worker.start(self.store))
            self._tell_single_id()
            request = session.request
            self._executor = Executor(
                self.store,
                self._worker,
                request.secrets,
                lambda tree: network_settings(self.store, tree, request.network, request.home),
            )
            session.waiting = True
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

    # Bases

    def _prepare(self, one: RecipeRun, run: StageRun, work: str, stack: ExitStack) -> None:
        """Begins to make the stage's base, if it is one that has to be made."""
        if run.base is not None or run.stage.base.kind in ("stage", "recipe", "image"):
            return
        number = self.session.numbers[id(run)]
        place = run.stage.base.place
        text = self.session.base_statement(run)
        self.session.emit(StepStarted(number, run.recipe, run.name, text, place.file, place.line))
        started = time.monotonic()

        def progress(line: str) -> None:
            self.session.emit(StepOutput(number, line.rstrip("\n").encode() + b"\n"))

        try:
            prepared = one.bases.prepare(run, work, progress)
        except EnvbuildError as error:
            self._tell_failure(number, run, text, place.file, place.line, error, started)
            raise
        stack.callback(prepared.close)
        run.base_seconds = time.monotonic() - started
        self._prepared[id(run)] = prepared

    def _base(self, one: RecipeRun, run: StageRun) -> None:
        session = self.session
        prepared = self._prepared.get(id(run))
        if prepared is None:
            base = one.bases.find(run)
            assert base is not None, "a base that can't be made was not refused"
            session.use_base(one, run, base, cached=True)
            return
        started = time.monotonic()
        with self.store.database.transaction():
            base = one.bases.finish(run, prepared)
        seconds = run.base_seconds + time.monotonic() - started
        session.count("ran")
        files, size = self.store.size(base.tree)
        session.emit(StepFinished(session.numbers[id(run)], base.tree, seconds, files, size))
        for note in prepared.notes:
            session.emit(Notice("note", note))
        session.use_base(one, run, base, cached=False, seconds=seconds)

    # Stages

    def _stage(self, one: RecipeRun, run: StageRun) -> None:
        try:
            if run.stage.base.kind in ("stage", "recipe"):
                run.needs[0].done.wait()
                if run.needs[0].error is not None:
                    raise Stopped("")
            if run.base is None:
                self._base(one, run)
            self._steps(one, run)
        except BaseException as error:
            run.error = error
            self._stop.set()
        finally:
            run.done.set()

    def _steps(self, one: RecipeRun, run: StageRun) -> None:
        session = self.session
        while True:
            missing = run.advance(one.gatherer, session.on_cached, session.look_up)
            if missing is None:
                return
            if self._stop.is_set():
                raise Stopped("")
            step, key, inputs = missing
            session.check_step(run, StepResult(step, key, "", "", 0.0, False))
            with self._slots, self.store.work.exclusive(f"step-{key}", partial(self._tell_waiting, step)):
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

    def _tell_waiting(self, step: Step) -> None:
        line = step.text.splitlines()[0]
        self.session.emit(Notice("note", f"another build is running '{line}': waiting for its result"))

    def _step(self, run: StageRun, step: Step, key: str, inputs: Inputs) -> StepResult:
        session = self.session
        number = session.step_number(run, step)
        started = time.monotonic()
        place = step.place
        session.emit(StepStarted(number, run.recipe, run.name, step.text, place.file, place.line))
        source = session.source(run, step, inputs)
        if session.request.explain:
            session.emit(StepExplained(number, self._reasons(run, step, key, source, inputs)))
        try:
            if isinstance(step.action, Execute):
                done = self._execute(run, step, inputs, number)
                tree, output, files, size = done.tree, done.output, done.files, done.size
            else:
                tree, key, inputs = self._perform(run, step, key, inputs)
                files, size = amount(self.store.trees, run.tree, tree)
                output = EMPTY_CONTENT
        except (StepFailure, StoreDamaged):
            raise  # told already; or the build begins again without what is damaged
        except EnvbuildError as error:
            if not self._stop.is_set():
                self._tell_failure(number, run, step.text, place.file, place.line, error, started)
                error.told = True
            raise
        seconds = time.monotonic() - started
        owners_kept = not isinstance(step.action, Execute) or self._worker.ids.kind != "single"
        self.store.steps.put(key, StepRecord(tree, output, seconds, owners_kept), step.text, source)
        session.emit(StepFinished(number, tree, seconds, files, size))
        return StepResult(step, key, tree, output, seconds, False, owners_kept)

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
                key, inputs = run.key_and_inputs(step, self.session.owners[id(run)].gatherer)
        raise AssertionError("the last attempt raises or returns")

    def _reasons(self, run: StageRun, step: Step, key: str, source: Source, inputs: Inputs) -> tuple[str, ...]:
        told = self.session.why_not_cached(step, key)
        if told:
            return (told,)
        texts = [one.text for one in (*run.plan.steps, *run.plan.tests)]
        before = self.store.steps.nearest(step.text, source, texts)
        return self._explainer.reasons(parts.load(before) if before else None, parts.load(source.parts), inputs)

    def _execute(self, run: StageRun, step: Step, inputs: Inputs, number: int) -> Execution:
        session = self.session

        def sink(data: bytes) -> None:
            session.emit(StepOutput(number, data))

        near = (run.tree, *[result.tree for result in reversed(run.results)])
        if run.base is not None:
            near = (*near, run.base.tree)
        parent, epoch = run.tree, run.facts.epoch
        done = self._executor.execute(step, inputs, parent, near, epoch, sink)
        if self._stop.is_set() and done.outcome.status:
            # Ended by us, not by its own fault.
            raise Stopped("")
        if done.outcome.status:
            raise self._failed(run, step, done, number)
        if session.request.check and not step.test:
            again = self._executor.execute(step, inputs, parent, near, epoch, lambda data: None)
            if again.outcome.status:
                raise self._failed(run, step, again, number)
            if again.tree != done.tree:
                self._differences += self._difference(step, done.tree, again.tree)
        return done

    def _difference(self, step: Step, first: Digest, second: Digest) -> list[str]:
        found = differences(self.store, first, second, ("the first run", "the second run"))
        head = f"  {step.place.file}:{step.place.line}: {step.text.splitlines()[0]}"
        return [head, *(f"    {line}" for line in found)]

    # Failures

    def _failed(self, run: StageRun, step: Step, done: Execution, number: int) -> StepFailure:
        """Keeps where the step failed for `shell --failed`, tells of it, and returns the error to raise."""
        outcome = done.outcome
        if outcome.timed_out:
            message = f"the command took longer than timeout={step.timeout:g}s and was ended"
        elif outcome.signal:
            message = f"the command was ended by signal {outcome.signal}"
        else:
            message = f"the command failed with exit status {outcome.status}"
        action = step.action
        assert isinstance(action, Execute)
        facts = run.facts.replace(
            environment=action.environment, user=action.user, workdir=action.workdir, start=None, health=None
        )
        detail = {
            "text": step.text,
            "file": step.place.file,
            "line": step.place.line,
            "output": done.output,
            "parameters": dict(action.parameters),
        }
        self.store.images.fail(Failure(run.recipe, done.tree, dump(facts), json.dumps(detail), time.time()))
        self.session.emit(
            StepFailed(
                number,
                run.recipe,
                run.name,
                step.text,
                step.place.file,
                step.place.line,
                message,
                outcome.status,
                done.seconds,
                done.tail,
                f"envbuild shell --failed {run.recipe}",
            )
        )
        return StepFailure(f"{step.place.file}:{step.place.line}: {message}")

    def _tell_failure(
        self, number: int, run: StageRun, text: str, file: str, line: int, error: EnvbuildError, started: float
    ) -> None:
        hint = f"\nhint: {error.hint}" if error.hint else ""
        self.session.emit(
            StepFailed(
                number,
                run.recipe,
                run.name,
                text,
                file,
                line,
                error.message + hint,
                0,
                time.monotonic() - started,
                b"",
                "",
            )
        )
        error.told = True
