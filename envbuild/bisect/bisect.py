"""The search itself: what it asks of candidates, in which order, and what it comes to."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack

from envbuild.bisect.composer import CandidateTrees, Composer
from envbuild.bisect.differences import Group, Part, PathPart, PiecePart
from envbuild.bisect.grouping import grouped
from envbuild.bisect.layers import CandidateLayers
from envbuild.bisect.package_requirements import required_groups
from envbuild.bisect.pieces import FilePieces, can_be_split, pieces_of
from envbuild.bisect.probe import Candidate, Probe, Prober
from envbuild.bisect.search import Items, Requirements, minimize
from envbuild.bisect.verdict import BAD, GOOD, Failure, Observation, Verdict, failure_of, verdict_of
from envbuild.build.sandbox_worker import Worker
from envbuild.errors import UsageError, WorkFailed, fields
from envbuild.history.compare import compare
from envbuild.history.file_diff import NotInStore
from envbuild.history.operand import Operand
from envbuild.plan.image_config import from_plain
from envbuild.record import Pairs, Record
from envbuild.store.store import Store


@fields
class NothingDiffers(UsageError):
    """The two environments to search between have no difference that a test could notice."""

    good: str
    bad: str

    def text(self) -> tuple[str, str]:
        return f"{self.good} and {self.bad} do not differ in anything that a test could notice", ""


@fields
class GoodFails(WorkFailed):
    """The test does not succeed in the good environment."""

    label: str
    how: str

    def text(self) -> tuple[str, str]:
        return (
            f"{self.label} is to be good, and the test does not succeed there: {self.how}",
            "name an environment in which it does, or mend the test: envbuild run IMAGE -- TEST",
        )


@fields
class BadSucceeds(WorkFailed):
    """The test does not fail in the bad environment, or not in the expected way."""

    label: str
    how: str

    def text(self) -> tuple[str, str]:
        return (
            f"{self.label} is to be bad, and the test does not show it there: {self.how}",
            "name an environment in which it fails in this way, or mend the test: envbuild run IMAGE -- TEST",
        )


class Search(Record):
    """What is asked for: the test, the exit code that is the failure (None for that of the bad environment), and how
    many runs at a time."""

    probe: Probe
    status: int | None = None
    jobs: int = 1


class Finding(Record):
    """What a search came to. `culprits` are the groups that break the test, together if they are several, of `total`;
    `parts` are what of them is needed for it. `tried` groups were tried alone, in `runs` runs, beside `remembered`
    ones, and `seconds`. `bad` is the smallest bad candidate, `good` the same without one of its parts. `tail` is the
    end of what the test prints in it."""

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
        pool = held.enter_context(ThreadPoolExecutor(max(1, search.jobs), "test"))
        return _Bisection(store, worker, good, bad, search, machine, report, pool, space.path).run()


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
        self._labels = good.label, bad.label
        self._roots = good.tree, bad.tree
        self._facts = good.facts or {}
        self._search = search
        self._report = report
        self._pool = pool
        self._differences = grouped(store, compare(store, good, bad))
        self._parts: list[Part | None] = [part for group in self._differences.groups for part in group.parts]
        if not self._parts:
            raise NothingDiffers(*self._labels)
        self._trees = CandidateTrees(store.trees)
        store.trees.elsewhere = self._trees.own
        self._pieces: dict[bytes, FilePieces] = {}
        self._composer = self._compose()
        self._all = (1 << len(self._parts)) - 1
        layers = CandidateLayers(store, self._trees, f"{folder}/upper", ((0, good.tree), (self._all, bad.tree)))
        self._prober = Prober(store, worker, layers, search.probe, machine)
        self._verdicts: dict[int, Verdict] = {0: GOOD, self._all: BAD}
        self._failure = Failure()
        self._runs = self._remembered = 0
        self._tried: set[Items] = set()

    def run(self) -> Finding:
        self._check_ends()
        groups = self._differences.groups
        bits: list[int] = []
        at = 0
        for group in groups:
            bits.append(((1 << len(group.parts)) - 1) << at)
            at += len(group.parts)
        requires = required_groups(self._store.objects, groups, self._differences.status)
        culprits = sorted(self._minimal(bits, requires))
        smallest = sum(bits[item] for item in culprits)
        smallest = self._within(smallest)
        paths = [part for part in self._selected(smallest) if isinstance(part, PathPart)]
        split = [part for part in paths if self._split(part)]
        if split:
            self._composer = self._compose()
            pieces = sum(1 << n for n, part in enumerate(self._parts) if isinstance(part, PiecePart))
            whole = sum(1 << self._parts.index(part) for part in self._selected(smallest))
            smallest = self._within(whole | pieces)
        good = self._good_neighbour(smallest)
        for selection in (smallest, good):
            self._trees.keep(self._composer.tree(selection))
        return Finding(
            tuple(groups[item] for item in culprits),
            tuple(self._selected(smallest)),
            self._pieces,
            len(groups),
            len({item for items in self._tried for item in items}),
            self._runs,
            self._remembered,
            time.monotonic() - self._began,
            self._failure,
            self._candidate(smallest),
            self._candidate(good),
            self._prober.tails.get(smallest, ""),
        )

    def _check_ends(self) -> None:
        """Have the test succeed in the good environment and fail in the bad one; learn how it fails."""
        good, bad = self._observe_all([0, self._all])
        probe = self._search.probe
        self._failure = failure_of(bad, probe.text, self._search.status)
        if verdict_of(good, Failure(probe.text, self._search.status)) != GOOD:
            raise GoodFails(self._labels[0], self._how(0, good))
        if not bad.started or (not probe.text and self._search.status is None and bad.status == 0):
            raise BadSucceeds(self._labels[1], self._how(self._all, bad))
        if verdict_of(bad, self._failure) != BAD:
            raise BadSucceeds(self._labels[1], self._how(self._all, bad))

    def _how(self, selection: int, seen: Observation) -> str:
        """Return how a test ended, in words."""
        if not seen.started:
            return f"it could not be started: {self._prober.tails.get(selection, '')}".removesuffix(": ")
        if seen.timed_out:
            return "its time was up"
        text = self._search.probe.text
        says = "" if not text else f", and it does {'' if seen.says else 'not '}print the expected text"
        return f"exit code {seen.status}{says}"

    def _compose(self) -> Composer:
        return Composer(
            self._trees,
            self._roots,
            self._facts,
            self._parts,
            status=self._differences.status,
            pieces=self._pieces,
            contents=self._store.objects,
        )

    def _minimal(self, bits: Sequence[int], requires: Requirements) -> Items:
        """Return the smallest set of these selections that breaks the test; all of them together do."""

        def first_bad(sets: Sequence[Items]) -> int | None:
            self._tried.update(items for items in sets if len(items) == 1)
            return self._first_bad([sum(bits[item] for item in items) for items in sets])

        return minimize(range(len(bits)), first_bad, requires, width=self._search.jobs)

    def _within(self, selection: int) -> int:
        """Return the smallest selection within this one, which breaks the test."""
        bits = [1 << number for number in range(selection.bit_length()) if selection >> number & 1]
        tried, self._tried = self._tried, set()
        smallest = sum(bits[item] for item in self._minimal(bits, {}))
        self._tried = tried
        return smallest

    def _selected(self, selection: int) -> list[Part]:
        return [part for number, part in enumerate(self._parts) if part is not None and selection >> number & 1]

    def _split(self, part: PathPart) -> bool:
        """Have the pieces of a file in its place, if it has several."""
        if part.before is None or part.after is None or not can_be_split(part.before, part.after):
            return False
        pieces = pieces_of(self._store.objects, part.before, part.after)
        parts = pieces.parts(part.path)
        if len(parts) < 2:
            return False
        self._pieces[part.path] = pieces
        self._parts[self._parts.index(part)] = None
        self._parts += parts
        return True

    def _good_neighbour(self, smallest: int) -> int:
        """Return a good selection with one part less, the empty one if none of these is good."""
        for number in reversed(range(smallest.bit_length())):
            if smallest >> number & 1 and self._verdicts.get(smallest & ~(1 << number)) == GOOD:
                return smallest & ~(1 << number)
        return 0

    def _candidate(self, selection: int) -> Candidate:
        return Candidate(selection, self._composer.tree(selection), from_plain(self._composer.facts(selection)))

    def _first_bad(self, selections: Sequence[int]) -> int | None:
        """Try candidates, as many at a time as there are jobs; return the place of the first bad one."""
        step = max(1, self._search.jobs)
        for start in range(0, len(selections), step):
            batch = selections[start : start + step]
            left = [selection for selection in dict.fromkeys(batch) if selection not in self._verdicts]
            for selection, seen in zip(left, self._observe_all(left), strict=True):
                self._verdicts[selection] = verdict_of(seen, self._failure)
            for place, selection in enumerate(batch, start):
                if self._verdicts[selection] == BAD:
                    return place
        return None

    def _observe_all(self, selections: Sequence[int]) -> list[Observation]:
        """Run the test in candidates in parallel, or remember how it ended there."""
        seen: dict[int, Observation] = {}
        pending = []
        for selection in selections:
            candidate = self._candidate(selection)
            known = self._prober.known(candidate)
            if known:
                self._remembered += 1
                seen[selection] = known[-1]
            else:
                pending.append((candidate, self._prober.request(candidate)))
        if len(pending) == 1:
            runs = [self._prober.run(*pending[0])]
        else:
            futures = [self._pool.submit(self._prober.run, *job) for job in pending]
            runs = [future.result() for future in futures]
        for (candidate, _), observation in zip(pending, runs, strict=True):
            self._runs += 1
            seen[candidate.selection] = observation
            self._prober.remember(candidate, [observation])
        return [seen[selection] for selection in selections]
