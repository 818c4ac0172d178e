"""Installs Debian packages in stages: what was unpacked before for a part of them comes from the store.

What apt would have dpkg do is done call by call, in apt's order, on the same trees. A stage that is kept is what these
calls left, under a key that has all of them; so a list that goes on where another one ends needs only what comes after.
Packages that were added in the middle are unpacked on top where debian/unpack_check.py shows that this comes to the
same. What configures packages always runs anew: scripts see everything that is unpacked. In all other cases, and with
`--no-cache`, `verify` and the second run of `--check`, the tree's apt installs everything at once.
"""

from __future__ import annotations

import time
from bisect import bisect_left
from collections.abc import Callable, Iterator, Sequence

from envbuild.build.execution import Execution
from envbuild.build.installation_site import InstallationSite
from envbuild.debian.left_behind import is_removed_after_installation
from envbuild.debian.unpack_check import MAX_STATUS, STATUS, Trees, order_does_not_count
from envbuild.digest import sha256_of
from envbuild.packages.apt_plan import MARKS, PLAN, Call
from envbuild.packages.apt_stages import AptStages, Archive, Plan
from envbuild.packages.manager import Task
from envbuild.record import Record
from envbuild.store.objects import TooLargeToRead
from envbuild.store.step_cache import STAGES, StepRecord
from envbuild.text import json
from envbuild.tree.diff import amount, diff, expanded
from envbuild.tree.entry import DIRECTORY, EMPTY_CONTENT, Digest
from envbuild.tree.late_times import TooDeep, without_late_times
from envbuild.tree.lookup import LinkCircle, has_tmp

FORMAT = "envbuild stages 1"
MAX_STAGES = 16
"""Stages that are remembered of one tree."""
MAX_PLAN = 4 << 20
LEAST = 4 << 20
"""Bytes of archives that are unpacked faster than they are looked for."""
WORTH, MUCH = 2 << 20, 24 << 20
"""Bytes of archives after which a stage ends before a package that has to be unpacked in its place, and before any."""
_SECOND = 1_000_000_000

Sink = Callable[[bytes], None]


class Stage(Record):
    """What some of a plan's archives left: `tree` has them unpacked in this order, after the plan's first calls. The
    first of these began at the time `began` (seconds)."""

    archives: tuple[str, ...]
    tree: Digest
    began: int


class Addition(Record):
    """A way to a plan's tree from a stage: its first `done` archives are there after those at `added` were unpacked on
    top. Those at `shown`, with these among them, come in another order then. `cost` is in bytes of archives."""

    stage: Stage
    added: tuple[int, ...]
    shown: tuple[int, ...]
    done: int
    cost: int


class StagedInstaller:
    """Installs one statement on the tree of its stage."""

    def __init__(self, site: InstallationSite) -> None:
        self._site = site
        self._store = site.store

    def install(self, stages: AptStages, sink: Sink) -> Execution | None:
        """Return what the installation came to; None if it can't be done in stages, and nothing counts."""
        if stages.size < LEAST:
            return None
        if self._site.step.discard or has_tmp(self._store.trees, self._site.tree):
            return None  # scripts see what the step's end removes, and what lies in /tmp
        started = time.time_ns()
        plan = self._plan(stages)
        if plan is None:
            return None
        base = _key(
            self._site.tree,
            str(self._site.epoch),
            str(self._site.owners_kept),
            json.dumps(_program(stages.call_task(()))),
        )
        first = _key(base, json.dumps(stages.hashes((*plan.first, plan.unpack.replace(items=())))))
        start = self._begin(stages, plan, first, started // _SECOND, sink)
        if start is None:
            return None
        for way in [*self._ways(plan, first, start), Addition(start, (), (), 0, 0)]:
            stage = self._add(stages, plan, first, start, way)
            if stage is not None:
                break
        else:
            return None
        if way.stage.archives:
            self._site.goes_on_from_kept()
            number = len(way.stage.archives)
            sink(f"{number} of {stages.number} package{'s' * (stages.number != 1)} as unpacked here before\n".encode())
        for end in stage_ends(plan.archives, len(stage.archives)):
            done = self._run(stages.call_task([_part(plan.unpack, range(len(stage.archives), end))]), stage.tree, sink)
            if done is None:
                return None
            names = tuple(archive.hash for archive in plan.archives[:end])
            stage = self._keep(first, Stage(names, done.tree, stage.began))
        return self._finish(stages, plan, stage, _key(base, "whole"), sink)

    def _plan(self, stages: AptStages) -> Plan | None:
        """Ask the tree's apt; None if it would do more than what the plan says."""
        done = self._site.install(stages.plan_task(), self._site.tree, self._site.near, _say_nothing)
        if done.outcome.status:
            return None
        touched = []
        for change in expanded(self._store.trees, diff(self._store.trees, self._site.tree, done.tree)):
            path = change.path.decode("utf-8", "surrogateescape")
            if change.after is not None and change.after.kind == DIRECTORY and change.before is not None:
                touched.append(path)
            elif path not in (PLAN, MARKS) and not is_removed_after_installation(path):
                return None
        try:
            text = self._store.read_text(done.tree, PLAN, MAX_PLAN)
            marks = self._store.read_file(done.tree, MARKS, MAX_PLAN)
            status = self._store.read_text(self._site.tree, STATUS, MAX_STATUS)
        except (TooLargeToRead, LinkCircle):
            return None
        return None if text is None else stages.plan(text, marks, tuple(touched), status or "")

    def _begin(self, stages: AptStages, plan: Plan, first: str, began: int, sink: Sink) -> Stage | None:
        """Return the stage before any of the plan's archives."""
        if not plan.first:
            return Stage((), self._site.tree, began)
        known = next((stage for stage in self._known(first) if not stage.archives), None)
        if known is not None:
            self._site.goes_on_from_kept()
            return known
        done = self._run(stages.call_task(plan.first), self._site.tree, sink)
        return None if done is None else self._keep(first, Stage((), done.tree, began))

    def _ways(self, plan: Plan, first: str, start: Stage) -> list[Addition]:
        """Return how stages that are kept lead to the plan's tree, the cheapest way first."""
        ways = [way for stage in self._known(first) if (way := way_from(plan.archives, stage)) is not None]
        return sorted(ways, key=lambda way: way.cost)

    def _add(self, stages: AptStages, plan: Plan, first: str, start: Stage, way: Addition) -> Stage | None:
        """Return the stage that a way leads to; None if what is added on top might have come to something else in its
        place."""
        if not way.shown:
            return way.stage
        alone = self._run(stages.call_task([_part(plan.unpack, way.shown)]), start.tree, _say_nothing)
        if alone is None:
            return None
        tree = way.stage.tree
        if way.added:
            on_top = self._run(stages.call_task([_part(plan.unpack, way.added)]), tree, _say_nothing)
            if on_top is None:
                return None
            tree = on_top.tree
        archives = plan.archives[: way.done]
        named = frozenset(path for archive in archives for path in archive.named or ())
        if not order_does_not_count(self._store, Trees(start.tree, way.stage.tree, alone.tree, tree), named):
            return None
        return self._keep(first, Stage(tuple(archive.hash for archive in archives), tree, way.stage.began))

    def _finish(self, stages: AptStages, plan: Plan, stage: Stage, key: str, sink: Sink) -> Execution | None:
        """Configure what is unpacked, and put back the times of all that was made since the first stage began."""
        done = self._run(stages.finish_task(plan, stage.began), stage.tree, sink)
        if done is None:
            return None
        began, ended, limit = stage.began * _SECOND, time.time_ns() + _SECOND, self._site.epoch * _SECOND

        def put_back(mtime: int) -> int:
            return limit if began <= mtime <= ended else min(mtime, limit)

        trees = self._store.trees
        try:
            with self._store.database.transaction():
                tree = without_late_times(trees, done.tree, self._site.tree, put_back, self._store.objects.alter)
        except TooDeep:
            return None
        before = self._store.steps.get(key)
        near = (before.tree,) if before is not None else ()
        self._store.layers(tree, (*near, done.tree, stage.tree, self._site.tree, *self._site.near))
        self._store.steps.put_parts({key: StepRecord(tree, EMPTY_CONTENT, 0.0, self._site.owners_kept)})
        files, size = amount(trees, self._site.tree, tree)
        return done.replace(tree=tree, files=files, size=size)

    def _run(self, task: Task, tree: Digest, sink: Sink) -> Execution | None:
        """Run a task on a tree, of which what it leaves keeps its times; None if it fails."""
        near = (self._site.tree, *self._site.near) if tree != self._site.tree else self._site.near
        done = self._site.install(task, tree, near, sink, keeps_times=True)
        return done if not done.outcome.status else None

    def _known(self, first: str) -> Iterator[Stage]:
        """Yield the stages that are kept of a plan that begins so."""
        for beginning, began, archives in self._rows():
            if beginning == first:
                record = self._store.steps.get(_stage_key(first, archives))
                if record is not None and not self._store.leads_to_lost(record.tree):
                    yield Stage(tuple(archives), record.tree, began)

    def _keep(self, first: str, stage: Stage) -> Stage:
        archives = list(stage.archives)
        others = [row for row in self._rows() if (row[0], row[2]) != (first, archives)]
        rows = [(first, stage.began, archives), *others]
        record = StepRecord(stage.tree, EMPTY_CONTENT, 0.0, self._site.owners_kept)
        with self._store.database.transaction():
            self._store.steps.put_parts({_stage_key(first, stage.archives): record})
            self._store.memo.put(STAGES, self._site.tree, json.dumps(rows[:MAX_STAGES]).encode())
        return stage

    def _rows(self) -> list[tuple[str, int, list[str]]]:
        kept = self._store.memo.get(STAGES, self._site.tree)
        return [] if kept is None else [(first, began, archives) for first, began, archives in json.loads(kept)]


def way_from(archives: Sequence[Archive], stage: Stage) -> Addition | None:
    """Return what leads from a stage to a plan's tree, None if nothing does: it has archives that the plan lacks, or
    what was or has to be unpacked in another order than the plan's must not."""
    places = {archive.hash: place for place, archive in enumerate(archives)}
    there = [places.get(name, -1) for name in stage.archives]
    if -1 in there:
        return None
    done = max(there, default=-1) + 1
    added = sorted(set(range(done)) - set(there))
    shown = sorted({*added, *there} - set(longest_rise(there)))
    order = [*there, *added]
    turned = (
        {
            place
            for at, earlier in enumerate(order)
            for later in order[at:]
            if later < earlier
            for place in (earlier, later)
        }
        if shown
        else set()
    )
    if any(archives[place].named is None for place in turned):
        return None
    cost = sum(archive.size for archive in archives) - sum(archives[place].size for place in there)
    cost += sum(archives[place].size for place in shown)
    return Addition(stage, tuple(added), tuple(shown), done, cost)


def longest_rise(places: Sequence[int]) -> list[int]:
    """Return the most of these numbers that there are in rising order."""
    ends: list[int] = []  # the lowest place at which a row of each length ends
    before: dict[int, int | None] = {}
    for place in places:
        length = bisect_left(ends, place)
        before[place] = ends[length - 1] if length else None
        ends[length:] = [place, *ends[length + 1 :]]
    rise: list[int] = []
    last = ends[-1] if ends else None
    while last is not None:
        rise.append(last)
        last = before[last]
    return rise[::-1]


def stage_ends(archives: Sequence[Archive], start: int) -> Iterator[int]:
    """Yield where the stages of a plan's archives end from `start` on: before an archive that has to be unpacked in its
    place, since nothing can be added on top of it that comes before; where there is much already; and in the end."""
    size = 0
    for place in range(start, len(archives)):
        if size >= (WORTH if archives[place].named is None else MUCH):
            yield place
            size = 0
        size += archives[place].size
    if start < len(archives):
        yield len(archives)


def _part(unpack: Call, places: Sequence[int]) -> Call:
    return unpack.replace(items=tuple(unpack.items[place] for place in places))


def _program(task: Task) -> list[object]:
    files = [[name, sha256_of(content)] for name, content in task.files]
    return [list(task.argv), [list(pair) for pair in task.environment], files]


def _stage_key(first: str, archives: Sequence[str]) -> str:
    return _key(first, *archives)


def _key(*words: str) -> str:
    return sha256_of(json.dumps([FORMAT, *words]).encode("utf-8", "surrogateescape"))


def _say_nothing(data: bytes) -> None:
    pass
