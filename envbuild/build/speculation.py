"""Steps that run ahead: on the tree that another step of their stage starts from, at the same time as that one.

It is guessed which can, by what is on record of both: nothing that the later step read is among what the earlier one
wrote. What came of a step that ran ahead is then held against the tree that it should have started from, as a run on
any other tree is (reuse.py). Where that does not hold it runs again, in its place.
"""

from __future__ import annotations

import threading
from collections.abc import Callable

from envbuild.build.changed_reads import first_changed
from envbuild.build.execution import Execution
from envbuild.build.progress import NotKnownYet, StageProgress
from envbuild.build.reuse import Placed, Reuse
from envbuild.build.walk import PendingStep
from envbuild.linux.slots import Slots
from envbuild.plan.step import Execute
from envbuild.store.run_records import RunRecord
from envbuild.store.store import Store
from envbuild.trace.reads import BadReads, Reads, dump, parse
from envbuild.tree.diff import Change, diff
from envbuild.tree.entry import Digest

MAX_AHEAD = 8
"""Steps that are looked at behind the one that runs."""

Sink = Callable[[bytes], None]


class _Ahead:
    """A step that runs ahead, on `parent`."""

    def __init__(self, pending: PendingStep) -> None:
        self.pending = pending
        self.done: Execution | None = None
        self.output: list[bytes] = []
        self.thread: threading.Thread | None = None


class Speculation:
    """The steps of one build that run ahead."""

    def __init__(
        self,
        store: Store,
        reuse: Reuse,
        reuses: bool,
        slots: Slots,
        pending: Callable[[StageProgress, int], PendingStep],
        run: Callable[[PendingStep, tuple[Digest, ...], Sink], Execution],
    ) -> None:
        """With `reuses` earlier runs count. `pending` gives a later step of a stage as it would run on the tree so far;
        `run` runs it there, from the layers of these trees."""
        self._store = store
        self._reuse = reuse
        self._reuses = reuses
        self._slots = slots
        self._pending = pending
        self._run = run
        self._ahead: dict[tuple[int, int], _Ahead] = {}

    def begin(self, at: StageProgress, pending: PendingStep) -> None:
        """Start those later steps of a stage that can run beside one that is about to run, as far as there is room."""
        written = self._written(pending)
        for number in range(pending.number + 1, min(pending.number + 1 + MAX_AHEAD, len(at.steps))):
            if written is None:
                return  # what of the steps in between is not known, anything may be read of
            later = at.steps[number]
            if not isinstance(later.action, Execute) or later.action.caches or (at.stage.number, number) in self._ahead:
                return
            try:
                step = self._pending(at, number)
            except NotKnownYet:
                return
            if self._is_apart(step, written) and not self._need_not_run(step):
                if not self._slots.acquire(blocking=False):
                    return
                self._start(at, step)
            more = self._written(step)
            written = None if more is None else [*written, *more]

    def take(self, pending: PendingStep, sink: Sink) -> Execution | str | None:
        """Return what came of a step that ran ahead, as it would be on the tree that it starts from; why that can't be
        known; None if it did not run ahead."""
        ahead = self._ahead.pop((pending.stage.number, pending.number), None)
        if ahead is None:
            return None
        assert ahead.thread is not None
        ahead.thread.join()
        done = ahead.done
        if done is None or done.outcome.status or done.reads is None or done.reads.untraceable:
            return "it ran ahead, and failed there"
        tree = done.tree
        if ahead.pending.parent != pending.parent:
            run = RunRecord(
                ahead.pending.parent, done.tree, done.output, done.seconds, True, done.touched, dump(done.reads)
            )
            placed = self._reuse.place(pending, run)
            if not isinstance(placed, Placed):
                return f"it ran ahead, but {placed}"
            tree = placed.tree
        for data in ahead.output:
            sink(data)
        return done.replace(tree=tree)

    def end(self, cancel: Callable[[], None]) -> None:
        """End what nobody asked for; `cancel` ends all commands that run."""
        if self._ahead:
            cancel()
        for ahead in self._ahead.values():
            if ahead.thread is not None:
                ahead.thread.join()

    def _start(self, at: StageProgress, pending: PendingStep) -> None:
        ahead = self._ahead[at.stage.number, pending.number] = _Ahead(pending)
        near = at.near  # as it is now: the stage goes on

        def run() -> None:
            try:
                ahead.done = self._run(pending, near, ahead.output.append)
            except Exception:  # it runs again in its place, and says there what is wrong
                ahead.done = None
            finally:
                self._slots.release()

        ahead.thread = threading.Thread(target=run, name=f"ahead {pending.number}", daemon=True)
        ahead.thread.start()

    def _last_run(self, pending: PendingStep) -> RunRecord | None:
        runs = self._store.runs.of(pending.statement(owners_kept=self._reuse.owners_kept))
        return runs[0] if runs else None

    def _need_not_run(self, pending: PendingStep) -> bool:
        """Return whether an earlier run of a step is likely to count, when it is its turn."""
        run = self._last_run(pending) if self._reuses else None
        return run is not None and isinstance(self._reuse.place(pending, run), Placed)

    def _written(self, pending: PendingStep) -> list[Change] | None:
        """Return what a step changed when it ran last; None where that is not known."""
        run = self._last_run(pending)
        return None if run is None else list(diff(self._store.trees, run.parent, run.result))

    def _is_apart(self, pending: PendingStep, written: list[Change]) -> bool:
        """Return whether a step read nothing, and wrote no path, of what others wrote."""
        run = self._last_run(pending)
        if run is None:
            return False
        try:
            reads: Reads = parse(run.reads)
        except BadReads:
            return False
        if reads.untraceable or first_changed(reads, written) is not None:
            return False
        others = {change.path for change in written}
        return not any(change.path in others for change in diff(self._store.trees, run.parent, run.result))
