"""The bases that a build lacks: each is made once, whichever stages and builds start from it."""

from __future__ import annotations

import time

from envbuild.build.bases import is_made
from envbuild.build.events import Notice, StepFinished, StepOutput, StepProgress
from envbuild.build.file_sources import FileSources
from envbuild.build.graph import Stage
from envbuild.build.job import BuildJob
from envbuild.build.progress import BaseTree
from envbuild.build.step_failure import Stopped, report_failure
from envbuild.contexts import ExitStack
from envbuild.errors import EnvbuildError
from envbuild.linux.latch import Latch

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from envbuild.tree.target import PreparedBase


class PreparedStage:
    """The base that a stage makes, also for others that start from it. `held` keeps other builds from making it."""

    def __init__(self, stage: Stage, prepared: PreparedBase, seconds: float, held: ExitStack) -> None:
        self.stage = stage
        self.prepared = prepared
        self.seconds = seconds
        self.held = held
        self.done = Latch()
        self.base: BaseTree | None = None
        """None until it is done, and after a failure."""


class BaseMaker:
    """Makes the bases of one build. First the part that needs the user's own view of the machine, then, in the
    user namespace and the stages' threads, the trees."""

    def __init__(self, job: BuildJob, files: FileSources) -> None:
        self.job = job
        self._files = files
        self.store = job.store
        self.reporter = job.reporter
        self._keys: dict[int, str] = {}
        """The keys of bases by the numbers of stages."""
        self._prepared: dict[str, PreparedStage] = {}

    def prepare(self, stages: list[Stage], work: str, stack: ExitStack) -> None:
        """Begin to make the bases of these stages that are missing, each once, whichever builds start from it."""
        makers: dict[str, Stage] = {}
        for stage in stages:
            if is_made(stage.base):
                key = self.job.bases.key(stage)
                makers.setdefault(key, stage)
                self._keys[stage.number] = key
        # In one order for all builds: else two could wait for each other.
        for key, stage in sorted(makers.items()):
            held = stack.enter_context(ExitStack())
            held.enter_context(self.store.work.exclusive(f"base-{key}", self._waiting(stage)))
            # Another build may have made it while this one waited.
            if self.job.bases.find(stage) is None or self.store.lost.identities():
                self._prepared[key] = self._prepare(stage, work, stack, held)
            else:
                held.close()

    def _waiting(self, stage: Stage) -> Callable[[], None]:
        return lambda: self.reporter.waiting(stage.base_statement)

    def _prepare(self, stage: Stage, work: str, stack: ExitStack, held: ExitStack) -> PreparedStage:
        self.reporter.begin_base(stage)
        started = time.monotonic()

        def progress(line: str) -> None:
            self.reporter.emit(StepOutput(stage.event, line.rstrip("\n").encode() + b"\n"))

        def report(done: int, total: int) -> None:
            self.reporter.emit(StepProgress(stage.event, done, total, "bytes"))

        try:
            prepared = self.job.bases.prepare(stage, work, self._files, progress, report)
        except EnvbuildError as error:
            self._report_failure(stage, error, started)
            raise
        stack.callback(prepared.close)
        return PreparedStage(stage, prepared, time.monotonic() - started, held)

    def _report_failure(self, stage: Stage, error: EnvbuildError, started: float) -> None:
        text, place = stage.base_statement, stage.base.place
        report_failure(self.reporter.emit, stage.event, stage, text, place, error, started)

    def finish(self, stage: Stage) -> None:
        """Give a stage its base: write it, or wait for the stage that does. Raises Stopped if that failed."""
        made = self._prepared.get(self._keys.get(stage.number, ""))
        if made is None or made.stage is not stage:
            if made is not None:
                made.done.wait()
            base = self.job.bases.find(stage) or (made.base if made is not None else None)
            if base is None:
                raise Stopped  # whoever makes it failed
            self.job.progress.begin(stage, base)
            self.job.check_base(stage, base)
            self.reporter.base_cached(stage, base)
            return
        started = time.monotonic()
        try:
            try:
                with self.store.database.transaction():
                    made.base = base = self.job.bases.finish(stage, made.prepared)
            except EnvbuildError as error:
                self._report_failure(stage, error, started - made.seconds)
                raise
            seconds = made.seconds + time.monotonic() - started
            self.reporter.count_run()
            files, size = self.store.size(base.tree)
            self.reporter.emit(StepFinished(stage.event, base.tree, seconds, files, size))
            for note in made.prepared.notes:
                self.reporter.emit(Notice("note", note))
            self.job.progress.begin(stage, base)
            self.job.check_base(stage, base)
        finally:
            made.done.set()
            made.held.close()
