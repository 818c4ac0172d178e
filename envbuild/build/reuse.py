"""Results of steps on another tree than the one that they ran on: taken where nothing that they read differs.

A step's key has the whole tree before it. What the step read of that tree is often little (trace/), so when the key is
not known, the runs of the same statement on other trees are looked at: if none of the paths that a run read or missed
is another one now, it would do the same again, and its changes are put on the new tree (tree/rebase.py). The tree that
comes out is that of a build without a cache. Where this can't be known, the step runs.
"""

from __future__ import annotations

from random import random

from envbuild.build.changed_reads import first_changed
from envbuild.build.check_differences import differences
from envbuild.build.named_inputs import parts_and_source
from envbuild.build.progress import StepResult
from envbuild.build.request import ALL
from envbuild.build.surroundings import surroundings
from envbuild.errors import EnvbuildError
from envbuild.plan.key import statement_of
from envbuild.plan.step import Execute, InstallPackages
from envbuild.record import Record
from envbuild.store.database import StoreDamaged
from envbuild.store.network_record import NetworkRecords
from envbuild.store.run_records import RunRecord
from envbuild.store.step_cache import StepRecord
from envbuild.store.trees import TreeBatch
from envbuild.trace.reads import BadReads, dump, parse
from envbuild.tree.diff import diff
from envbuild.tree.rebase import Meets, Run, Touched, rebase

TYPE_CHECKING = False
if TYPE_CHECKING:
    from envbuild.build.graph import Graph
    from envbuild.build.request import BuildRequest
    from envbuild.build.walk import PendingStep
    from envbuild.plan.step import Step
    from envbuild.store.store import Store
    from envbuild.trace.reads import Reads
    from envbuild.tree.entry import Digest, Entry


WORTH = 1.0
"""Seconds that a step took once if it is worth to be traced without being asked for."""


class NotHere(Exception):
    """A file would have to be written, and that has to wait until the build is in its namespace. Never leaves it."""


class Placed(Record):
    """The tree that a run's changes make of another tree, and why that holds, in words."""

    tree: Digest
    run: RunRecord
    reason: str


class Reuse:
    """What one build may take of earlier runs. `writes_files` says whether it is where files get their owners."""

    def __init__(self, store: Store, graph: Graph, request: BuildRequest, *, owners_kept: bool) -> None:
        self._store = store
        self._graph = graph
        self._request = request
        self.owners_kept = owners_kept
        self.writes_files = False
        self._reasons: dict[str, str] = {}
        """Why steps run though there are runs of them, by their keys."""
        self._audited: dict[str, Placed | None] = {}
        """By the keys of steps, what is to be compared with what they leave; None for those that need not run."""

    def result(self, pending: PendingStep) -> StepResult | None:
        """Return the result that a step has by an earlier run on another tree, and record it; None if it has to run."""
        if not isinstance(pending.step.action, (Execute, InstallPackages)):
            return None
        if self._store.trees.elsewhere is not None and not self._store.trees.has(pending.parent):
            return None  # it is only in a shared cache yet, and has to be here to be changed
        key = pending.key(owners_kept=self.owners_kept)
        if key in self._reasons:
            return None  # it was tried before in this build
        statement = pending.statement(owners_kept=self.owners_kept)
        try:
            placed = self._placed(pending, statement, key)
        except NotHere:
            return None
        if placed is None or self._is_audited(key, placed):
            return None
        self._reasons.pop(key, None)
        run, step, store = placed.run, pending.step, self._store
        _, source = parts_and_source(pending, self._graph.recipe_of(pending.stage).path, owners_kept=self.owners_kept)
        with store.database.transaction():
            store.steps.put(key, StepRecord(placed.tree, run.output, run.seconds, run.owners_kept), step.text, source)
            store.runs.put(statement, run.replace(parent=pending.parent, result=placed.tree))
            self._keep_network(pending, key, placed)
        return StepResult(
            pending.number, step, key, placed.tree, run.output, run.seconds, True, run.owners_kept, placed.reason
        )

    def _is_audited(self, key: str, placed: Placed) -> bool:
        if key not in self._audited:
            self._audited[key] = placed if random() < self._request.audit else None
            if self._audited[key] is not None:
                self._reasons[key] = f"it is audited: {placed.reason}"
        return self._audited[key] is not None

    def failed_audit(self, pending: PendingStep, key: str, tree: Digest) -> tuple[str, ...]:
        """Hold what a step left, if it was audited, against what its earlier run was taken to leave. If it is another
        tree, no run of the statement counts any more, and the differences are returned in words."""
        placed = self._audited.get(key)
        if placed is None or placed.tree == tree:
            return ()
        lines = differences(self._store, placed.tree, tree, ("reused", "run"))
        reason = f"an audit failed: running it gave something else than its record said ({lines[0].strip()})"
        self._store.runs.distrust(command_of(pending.step), reason)
        return tuple(lines)

    def why_it_runs(self, key: str) -> str:
        """Return why no earlier run of a step counts for this one, "" if there was none."""
        return self._reasons.get(key, "")

    def traces(self, pending: PendingStep) -> bool:
        """Return whether a step is traced when it runs: with AUTO one that ran before, took long enough then, and could
        be followed if that was tried."""
        if self._request.trace == ALL:
            return True
        if self._store.steps.longest(pending.step.text) < WORTH:
            return False
        last = next(iter(self._store.runs.of(pending.statement(owners_kept=self.owners_kept))), None)
        try:
            return last is None or not parse(last.reads).untraceable
        except BadReads:
            return True

    def keep(
        self, pending: PendingStep, tree: Digest, output: Digest, seconds: float, touched: Touched, reads: Reads
    ) -> None:
        """Keep what a step that ran read, for later builds."""
        if not self._store.runs.distrusted(command_of(pending.step)):
            record = RunRecord(pending.parent, tree, output, seconds, self.owners_kept, touched, dump(reads))
            self._store.runs.put(pending.statement(owners_kept=self.owners_kept), record)

    def _keep_network(self, pending: PendingStep, key: str, placed: Placed) -> None:
        """Keep what came through the network of the run with the step's own result, too."""
        if isinstance(pending.step.action, Execute) and pending.step.action.network:
            run, records = placed.run, NetworkRecords(self._store.database)
            record = records.get(pending.replace(parent=run.parent).key(owners_kept=self.owners_kept), run.result)
            if record is not None:
                records.put(key, placed.tree, record)

    def _placed(self, pending: PendingStep, statement: str, key: str) -> Placed | None:
        distrusted = self._store.runs.distrusted(command_of(pending.step))
        if distrusted:
            self._reasons[key] = distrusted
            return None
        reasons = []
        for run in self._store.runs.of(statement):
            reason = self.place(pending, run)
            if isinstance(reason, Placed):
                return reason
            reasons.append(reason)
        if reasons:
            self._reasons[key] = reasons[0]  # the last run is the likest
        return None

    def place(self, pending: PendingStep, run: RunRecord) -> Placed | str:
        """Return what comes of a run on the tree of a step, or why it can't be known."""
        store, trees, step = self._store, self._store.trees, pending.step
        if run.parent == pending.parent:
            return "its result is no longer in the store"
        try:
            reads = parse(run.reads)
        except BadReads as error:
            return error.message
        if reads.untraceable:
            return f"what it reads can't be followed: it {reads.untraceable}"
        if store.leads_to_lost(run.parent) or store.leads_to_lost(run.result):
            return "a part of its last result was damaged"
        moved = list(diff(trees, run.parent, pending.parent))
        changed = first_changed(reads, moved)
        if changed is not None:
            return changed.text
        try:
            user = self._request.network, self._request.home
            if surroundings(store, step, run.parent, *user) != surroundings(store, step, pending.parent, *user):
                return "it would be started in another way on this tree"
        except StoreDamaged:
            raise
        except EnvbuildError:
            return "how it is started on this tree can't be known"
        reason = f"none of the {len(reads.paths):,} paths that it reads is among the {len(moved):,} that changed"
        if step.test:
            return Placed(pending.parent, run, reason)
        try:
            tree = self._rebased(run, pending)
        except Meets as meets:
            if not meets.path:
                return "the times of its files on this tree can't be known"
            return f"it writes /{meets.path.decode(errors='backslashreplace')}, and that is not as it was"
        return Placed(tree, run, reason)

    def _rebased(self, run: RunRecord, pending: PendingStep) -> Digest:
        store, epoch = self._store, pending.epoch
        was = Run(run.parent, run.result, run.touched, store.clocks.of(run.parent, epoch))
        batch = TreeBatch(store.trees)
        tree = rebase(batch, was, pending.parent, store.clocks.of(pending.parent, epoch), self._alter)
        with store.database.transaction():
            batch.flush()
        return tree

    def _alter(self, old: Entry, new: Entry) -> Entry:
        if not self._store.objects.has(new) and not self.writes_files:
            raise NotHere
        return self._store.objects.alter(old, new)


def command_of(step: Step) -> str:
    """Return the name of a step whatever it takes from elsewhere and whenever it runs: an audit fails for all these."""
    return statement_of(step, (), 0)
