"""The search itself: what it asks of candidates, in which order, and what it comes to."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack

from envbuild.bisect.composer import CandidateTrees, Composer
from envbuild.bisect.differences import Group, Part, PathPart, PiecePart
from envbuild.bisect.flakiness import Rates
from envbuild.bisect.grouping import grouped
from envbuild.bisect.judge import Conditions, Flaky, Judge
from envbuild.bisect.layer_folder import LayerFolder
from envbuild.bisect.layers import CandidateLayers
from envbuild.bisect.package_requirements import required_groups
from envbuild.bisect.pieces import FilePieces, pieces_of
from envbuild.bisect.probe import Candidate, Probe, Prober, Surroundings
from envbuild.bisect.search import (
    FirstBad,
    Item,
    Items,
    ddmin,
    lacks_required,
    minimize,
    needed_by_others,
)
from envbuild.bisect.verdict import Failure, Observation, Verdict
from envbuild.build.sandbox_worker import Worker
from envbuild.errors import UsageError, fields
from envbuild.history.file_diff import NotInStore
from envbuild.history.operand import Operand
from envbuild.plan.image_config import from_plain
from envbuild.record import Record
from envbuild.store.database import StoreUnusable
from envbuild.store.store import Store
from envbuild.tree.entry import FILE

MAX_NAMED = 3
"""Groups of a trial that are named in a report."""


@fields
class NothingDiffers(UsageError):
    """The two environments to search between have no difference that a test could notice."""

    good: str
    bad: str

    def text(self) -> tuple[str, str]:
        return f"{self.good} and {self.bad} do not differ in anything that a test could notice", ""


class Search(Record):
    """What is asked for: the test, the exit code that is the failure (None for that of the bad environment), how many
    runs at a time, and how often what decides is run (0 for the usual number)."""

    probe: Probe
    status: int | None = None
    jobs: int = 1
    repeat: int = 0


class Trial(Record):
    """A candidate that was tried: how many of the groups it has, whole or in part, their numbers if they are few, and
    how its last run ended."""

    size: int
    groups: tuple[int, ...]
    verdict: Verdict
    last: Observation


class Finding(Record):
    """What a search came to. `culprits` are the groups that break the test, together if they are several, of `total`;
    `needed` are others without which they do not, and which they need by what their packages say; `parts` are what of
    all of them is needed for it. `tried` groups were tried or left out alone, in `runs` runs, beside `remembered` ones,
    and `seconds`. `bad` is the smallest bad candidate, `good` the same without one of its parts. `tail` is the end of
    what the test prints in it. `rates` say how often a flaky test fails, None for one that ends alike. `trials` are
    all candidates, whose groups are numbers of `groups`."""

    culprits: tuple[Group, ...]
    needed: tuple[Group, ...]
    parts: tuple[Part, ...]
    pieces: dict[bytes, FilePieces]
    total: int
    tried: int
    runs: int
    remembered: int
    seconds: float
    failure: Failure
    bad: Candidate
    good: Candidate
    tail: str
    rates: Rates | None = None
    groups: tuple[Group, ...] = ()
    trials: tuple[Trial, ...] = ()


Report = Callable[[str, int, int], None]
"""Is told what is narrowed down, how many differences are ruled out, and of how many."""


def bisect(
    store: Store,
    worker: Worker,
    folder: LayerFolder,
    good: Operand,
    bad: Operand,
    search: Search,
    around: Surroundings,
    report: Report = lambda what, done, total: None,
) -> Finding:
    """Find a smallest set of differences between two environments that breaks a test.

    The process is root of the user namespace and uses the store (`share`); the worker was started after the `folder`
    for layers was made. Raises UsageError, GoodFails, BadSucceeds and StoreDamaged.
    """
    if store.database.read_only:
        raise StoreUnusable(store.path, "it may only be read, and a bisect makes trees")
    for side in (good, bad):
        if side.tree is None:
            raise NotInStore(side.label)
    with ExitStack() as held:
        held.enter_context(store.work.removing_behind())
        pool = held.enter_context(ThreadPoolExecutor(search.jobs, "test"))
        try:
            return _Bisection(store, worker, good, bad, search, around, report, pool, folder).run()
        except BaseException:
            # Else the pool would wait for tests that nobody waits for.
            pool.shutdown(wait=False, cancel_futures=True)
            worker.cancel()
            raise


class _Bisection:
    """One search. A candidate's parts are the bits of its selection; pieces of files get bits of their own later."""

    def __init__(
        self,
        store: Store,
        worker: Worker,
        good: Operand,
        bad: Operand,
        search: Search,
        around: Surroundings,
        report: Report,
        pool: ThreadPoolExecutor,
        folder: LayerFolder,
    ) -> None:
        assert good.tree is not None
        assert bad.tree is not None
        self._began = time.monotonic()
        self._store = store
        self._worker = worker
        self._roots = good.tree, bad.tree
        self._facts = good.facts or {}
        self._search = search
        self._report = report
        self._pool = pool
        self._differences = grouped(store, good, bad)
        self._parts: list[Part | None] = [part for group in self._differences.groups for part in group.parts]
        if not self._parts:
            raise NothingDiffers(good.label, bad.label)
        self._requires = required_groups(store.objects, self._differences.groups, self._differences.status)
        self._trees = CandidateTrees(store.trees)
        store.trees.elsewhere = self._trees.own
        self._pieces: dict[bytes, FilePieces] = {}
        self._composer = self._compose()
        everything = (1 << len(self._parts)) - 1
        layers = CandidateLayers(store, self._trees, folder, good.tree, (everything, bad.tree))
        self._prober = Prober(store, worker, layers, search.probe, around)
        conditions = Conditions((good.label, bad.label), search.probe.text, search.status, search.repeat)
        self._judge = Judge(self._prober, self._candidate, everything, conditions, pool, search.jobs)
        self._alone: set[Item] = set()

    def run(self) -> Finding:
        self._judge.check_ends()
        try:
            culprits, smallest = self._narrow()
        except Flaky:
            self._join()
            self._judge.be_patient()
            culprits, smallest = self._narrow()
        good = next(filter(self._judge.is_good, self._with_one_less(smallest)), 0)
        for selection in (smallest, good):
            self._trees.keep(self._composer.tree(selection))
        groups = self._differences.groups
        needed = needed_by_others(culprits, self._requires)
        return Finding(
            tuple(groups[item] for item in culprits if item not in needed),
            tuple(groups[item] for item in culprits if item in needed),
            tuple(self._selected(smallest)),
            self._pieces,
            len(groups),
            max(len(self._alone), len(culprits)),
            self._judge.runs,
            self._judge.remembered,
            time.monotonic() - self._began,
            self._judge.failure,
            self._candidate(smallest),
            self._candidate(good),
            self._prober.tails.get(smallest, ""),
            self._judge.rates,
            groups,
            tuple(self._trials()),
        )

    def _trials(self) -> Iterator[Trial]:
        group_of: list[int] = []
        paths: dict[bytes, int] = {}
        for number, group in enumerate(self._differences.groups):
            group_of += [number] * len(group.parts)
            paths |= {part.path: number for part in group.parts if isinstance(part, PathPart)}
        # Behind the parts of groups are pieces of paths.
        group_of += [paths[part.path] if isinstance(part, PiecePart) else -1 for part in self._parts[len(group_of) :]]
        masks: dict[int, int] = {}
        for bit, number in enumerate(group_of):
            masks[number] = masks.get(number, 0) | 1 << bit
        for selection, verdict, last in self._judge.tried():
            chosen = tuple(number for number, mask in masks.items() if selection & mask)
            yield Trial(len(chosen), chosen if len(chosen) <= MAX_NAMED else (), verdict, last)

    def _narrow(self) -> tuple[list[Item], int]:
        """Return the groups that break the test, and the selection of what of them is needed for it. Raises Flaky."""
        groups = self._differences.groups
        bits = []
        at = 0
        for group in groups:
            bits.append(((1 << len(group.parts)) - 1) << at)
            at += len(group.parts)

        first_bad = self._tries(bits, self._alone)
        culprits = sorted(minimize(range(len(bits)), first_bad, self._requires, width=self._width))
        if len(culprits) > 1:
            culprits = sorted(ddmin(culprits, self._tries_of_sound(bits, first_bad), self._requires))
        whole = sum(bits[item] for item in culprits)
        alike = self._judge.first_bad([whole]) is not None
        smallest = self._within(whole, alike)
        split = self._split(smallest)
        if split != smallest:
            smallest = self._within(split, alike)
        self._judge.confirm(smallest, self._with_one_less(smallest))
        left = self._selected(smallest)
        return [item for item in culprits if any(_is_of(groups[item], part) for part in left)], smallest

    @property
    def _width(self) -> int:
        """How many sets are offered at a time: a flaky test's runs of one set are what is done in parallel."""
        return self._search.jobs if self._judge.rates is None else 1

    def _within(self, selection: int, alike: bool) -> int:
        """Return the smallest selection within this one, which breaks the test."""
        bits = [1 << number for number in range(selection.bit_length()) if selection >> number & 1]
        first_bad = self._tries(bits, set(), alike=alike)
        return sum(bits[item] for item in minimize(range(len(bits)), first_bad, {}, width=self._width))

    def _tries(self, bits: Sequence[int], alone: set[Item], *, alike: bool = True) -> FirstBad:
        """Return what tries sets of these selections; those that were tried or left out alone are added to `alone`."""
        left = len(bits)

        def first_bad(sets: Sequence[Items]) -> int | None:
            nonlocal left
            self._report(f"{self._judge.runs} runs, {left} differences left", len(bits) - left, len(bits))
            everything: Items = frozenset().union(*sets)
            for items in sets:
                for single in (items, everything - items):
                    alone.update(single if len(single) == 1 else ())
            bad = self._judge.first_bad([sum(bits[item] for item in items) for items in sets], alike=alike)
            left = left if bad is None else min(left, len(sets[bad]))
            return bad

        return first_bad

    def _tries_of_sound(self, bits: Sequence[int], first_bad: FirstBad) -> FirstBad:
        """Return what tries sets that keep what is required by the exit code alone: some members may only be there for
        what the test says last."""

        def first_bad_of_sound(sets: Sequence[Items]) -> int | None:
            sound = [number for number, items in enumerate(sets) if not lacks_required(items, self._requires)]
            selections = [sum(bits[item] for item in sets[number]) for number in sound]
            bad = self._judge.first_bad(selections, alike=False)
            return sound[bad] if bad is not None else first_bad(sets)

        return first_bad_of_sound

    def _split(self, selection: int) -> int:
        """Have the pieces of files in the place of those that are selected, and return the selection of these."""
        for part in self._selected(selection):
            if not isinstance(part, PathPart) or part.before is None or part.after is None:
                continue
            if not part.before.kind == part.after.kind == FILE:
                continue
            pieces = pieces_of(self._store.objects, part.before, part.after)
            parts = pieces.parts(part.path)
            if len(parts) > 1:
                self._pieces[part.path] = pieces
                number = self._parts.index(part)
                selection &= ~(1 << number)
                selection |= ((1 << len(parts)) - 1) << len(self._parts)
                self._composer.split(part.path, dict(enumerate(parts, len(self._parts))), pieces)
                self._parts[number] = None
                self._parts += parts
        return selection

    def _join(self) -> None:
        """Have whole paths again in the place of their pieces, whose numbers are not used any more."""
        whole = [part for group in self._differences.groups for part in group.parts]
        self._parts = [*whole, *[None] * (len(self._parts) - len(whole))]
        self._pieces = {}
        self._composer = self._compose()

    def _with_one_less(self, selection: int) -> list[int]:
        return [selection & ~(1 << number) for number in range(selection.bit_length()) if selection >> number & 1]

    def _selected(self, selection: int) -> list[Part]:
        return [part for number, part in enumerate(self._parts) if part is not None and selection >> number & 1]

    def _candidate(self, selection: int) -> Candidate:
        return Candidate(selection, self._composer.tree(selection), from_plain(self._composer.facts(selection)))

    def _compose(self) -> Composer:
        return Composer(
            self._trees,
            self._roots,
            self._facts,
            [part for group in self._differences.groups for part in group.parts],
            status=self._differences.status,
            contents=self._store.objects,
        )


def _is_of(group: Group, part: Part) -> bool:
    """Return whether a part, or a piece of one, belongs to a group."""
    if isinstance(part, PiecePart):
        return any(isinstance(whole, PathPart) and whole.path == part.path for whole in group.parts)
    return part in group.parts
