"""The bases that a build lacks: each is made once, whichever stages and builds start from it."""

from __future__ import annotations

import threading
import time
from contextlib import ExitStack
from functools import partial

from envbuild.build.events import Notice, StepFinished, StepOutput, StepStarted
from envbuild.build.stage import StageRun
from envbuild.build.state import RecipeRun, Session
from envbuild.build.step_failure import Stopped, tell_failure
from envbuild.errors import EnvbuildError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from envbuild.tree.target import PreparedBase


def tell_waiting(session: Session, text: str) -> None:
    """Tells that another build does what this one needs."""
    line = text.splitlines()[0]
    session.emit(Notice("note", f"another build is running '{line}': waiting for its result"))


class Maker:
    """The stage that makes a base which others may start from, too; `held` is what keeps other builds from it."""

    def __init__(self, run: StageRun, held: ExitStack) -> None:
        self.run = run
        self.held = held
        self.done = threading.Event()


class BaseMaker:
    """Makes the bases of one build. First the part that needs the user's own view of the machine, then, in the
    user namespace and the stages' threads, the trees."""

    def __init__(self, session: Session) -> None:
        self.session = session
        self.store = session.store
        self._keys: dict[int, str] = {}
        self._prepared: dict[str, PreparedBase] = {}
        self._makers: dict[str, Maker] = {}

    def prepare(self, left: list[tuple[RecipeRun, StageRun]], work: str, stack: ExitStack) -> None:
        """Begins to make the bases that are missing, each once, whichever builds and stages start from it."""
        makers: dict[str, tuple[RecipeRun, StageRun]] = {}
        for one, run in left:
            if run.base is None and run.stage.base.kind not in ("stage", "recipe", "image"):
                key = one.bases.key(run)
                makers.setdefault(key, (one, run))
                self._keys[id(run)] = key
        # In one order for all builds: else two could wait for each other.
        for key, (one, run) in sorted(makers.items(), key=lambda pair: pair[0]):
            held = stack.enter_context(ExitStack())
            line = self.session.base_statement(run)
            held.enter_context(self.store.work.exclusive(f"base-{key}", partial(tell_waiting, self.session, line)))
            # Another build may have made it while this one waited.
            if one.bases.find(run) is None or self.store.lost.identities():
                self._prepared[key] = self._prepare_one(one, run, work, stack)
                self._makers[key] = Maker(run, held)
            else:
                held.close()

    def _prepare_one(self, one: RecipeRun, run: StageRun, work: str, stack: ExitStack) -> PreparedBase:
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
            tell_failure(self.session, number, run, text, place, error, started)
            raise
        stack.callback(prepared.close)
        run.base_seconds = time.monotonic() - started
        return prepared

    def finish(self, one: RecipeRun, run: StageRun) -> None:
        """Gives a stage its base: writes it, or waits for the stage that does. Raises Stopped if that failed."""
        session = self.session
        key = self._keys.get(id(run), "")
        maker = self._makers.get(key)
        if maker is None or maker.run is not run:
            if maker is not None:
                maker.done.wait()
            base = one.bases.find(run) or (maker.run.base if maker is not None else None)
            if base is None:
                raise Stopped("")  # whoever makes it failed
            session.use_base(one, run, base, cached=True)
            return
        prepared = self._prepared[key]
        started = time.monotonic()
        try:
            with self.store.database.transaction():
                base = one.bases.finish(run, prepared)
            seconds = run.base_seconds + time.monotonic() - started
            session.count("ran")
            files, size = self.store.size(base.tree)
            session.emit(StepFinished(session.numbers[id(run)], base.tree, seconds, files, size))
            for note in prepared.notes:
                session.emit(Notice("note", note))
            session.use_base(one, run, base, cached=False, seconds=seconds)
        finally:
            maker.done.set()
            maker.held.close()
