"""The search itself: what it asks of candidates, in which order, and what it comes to."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack

from envbuild.bisect.composer import CandidateTrees, Composer
from envbuild.bisect.differences import Group, Part, PathPart
from envbuild.bisect.flakiness import Rates
from envbuild.bisect.grouping import grouped
from envbuild.bisect.judge import Conditions, Flaky, Judge
from envbuild.bisect.layers import CandidateLayers
from envbuild.bisect.package_requirements import required_groups
from envbuild.bisect.pieces import FilePieces, pieces_of
from envbuild.bisect.probe import Candidate, Probe, Prober
from envbuild.bisect.search import Item, Items, minimize
from envbuild.bisect.verdict import Failure
from envbuild.build.sandbox_worker import Worker
from envbuild.errors import UsageError, fields
from envbuild.history.file_diff import NotInStore
from envbuild.history.operand import Operand
from envbuild.plan.image_config import from_plain
from envbuild.record import Pairs, Record
from envbuild.store.store import Store
from envbuild.tree.entry import FILE


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


class Finding(Record):
    """What a search came to. `culprits` are the groups that break the test, together if they are several, of `total`;
    `parts` are what of them is needed for it. `tried` groups were tried alone, in `runs` runs, beside `remembered`
    ones, and `seconds`. `bad` is the smallest bad candidate, `good` the same without one of its parts. `tail` is the
    end of what the test prints in it. `rates` say how often a flaky test fails, None for one that ends alike."""

    culprits: tuple[Group, ...]
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


Report = Callable[[str, int, int], None]
"""Is told what is narrowed down, how many differences are ruled out, and of how many."""


def bisect(
    store: Store,
    worker: Worker,
    good: Operand,
    bad: Operand,
    search: Search,
    machine: tuple[Pairs, str],
    report: Report = lambda what, done, total: None,
) -> Finding:
    """Find a smallest set of differences between two environments that breaks a test.

    The process is root of the user namespace and uses the store (`share`). `machine` are the user's variables about
    proxies and indexes, and the user's folder. Raises UsageError, GoodFails, BadSucceeds and StoreDamaged.
    """
    for side in (good, bad):
        if side.tree is None:
            raise NotInStore(side.label)
    with ExitStack() as held:
        space = held.enter_context(store.work.workspace())
        held.enter_context(store.work.removing_behind())
        pool = held.enter_context(ThreadPoolExecutor(search.jobs, "test"))
        try:
            return _Bisection(store, worker, good, bad, search, machine, report, pool, space.path).run()
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
        machine: tuple[Pairs, str],
        report: Report,
        pool: ThreadPoolExecutor,
        folder: str,
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
        self._trees = CandidateTrees(store.trees)
        store.trees.elsewhere = self._trees.own
        self._pieces: dict[bytes, FilePieces] = {}
        self._composer = self._compose()
        everything = (1 << len(self._parts)) - 1
        layers = CandidateLayers(store, self._trees, f"{folder}/upper", good.tree, (everything, bad.tree))
        self._prober = Prober(store, worker, layers, search.probe, machine)
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
        return Finding(
            tuple(groups[item] for item in culprits),
            tuple(self._selected(smallest)),
            self._pieces,
            len(groups),
            len(self._alone),
            self._judge.runs,
            self._judge.remembered,
            time.monotonic() - self._began,
            self._judge.failure,
            self._candidate(smallest),
            self._candidate(good),
            self._prober.tails.get(smallest, ""),
            self._judge.rates,
        )

    def _narrow(self) -> tuple[list[Item], int]:
        """Return the groups that break the test, and the selection of what of them is needed for it. Raises Flaky."""
        groups = self._differences.groups
        bits = []
        at = 0
        for group in groups:
            bits.append(((1 << len(group.parts)) - 1) << at)
            at += len(group.parts)
        requires = required_groups(self._store.objects, groups, self._differences.status)

        def first_bad(sets: Sequence[Items]) -> int | None:
            self._alone.update(item for items in sets if len(items) == 1 for item in items)
            return self._judge.first_bad([sum(bits[item] for item in items) for items in sets])

        culprits = sorted(minimize(range(len(groups)), first_bad, requires, width=self._width))
        smallest = self._within(sum(bits[item] for item in culprits))
        split = self._split(smallest)
        if split != smallest:
            smallest = self._within(split)
        self._judge.confirm(smallest, self._with_one_less(smallest))
        return culprits, smallest

    @property
    def _width(self) -> int:
        """How many sets are offered at a time: a flaky test's runs of one set are what is done in parallel."""
        return self._search.jobs if self._judge.rates is None else 1

    def _within(self, selection: int) -> int:
        """Return the smallest selection within this one, which breaks the test."""
        bits = [1 << number for number in range(selection.bit_length()) if selection >> number & 1]

        def first_bad(sets: Sequence[Items]) -> int | None:
            return self._judge.first_bad([sum(bits[item] for item in items) for items in sets])

        return sum(bits[item] for item in minimize(range(len(bits)), first_bad, {}, width=self._width))

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
                self._composer.split(
                    part.path, {piece: 1 << len(self._parts) + n for n, piece in enumerate(parts)}, pieces
                )
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
