"""Verdicts on candidates: runs the test where they are not known yet, and notices a test that contradicts itself."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor

from envbuild.bisect.flakiness import SAMPLE, Rates, count_of, is_mixed, judged
from envbuild.bisect.probe import Candidate, Prober
from envbuild.bisect.verdict import BAD, GOOD, SKIP, UNRESOLVED, Failure, Observation, Verdict, failure_of, verdict_of
from envbuild.errors import WorkFailed, fields
from envbuild.record import Record

DECISIVE_RUNS = 3
"""Of the candidates that decide the answer, unless another number is asked for."""
MAX_DECISIVE = 8
"""Of these candidates."""
_SECOND_LOOKS = 20
_SECONDS_FOR_LOOKS = 20.0
"""Runs, and seconds of them, before an environment that is to fail is taken for one that does not."""


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


@fields
class TooFlaky(WorkFailed):
    """The test fails about as often in both environments."""

    good: str
    bad: str
    rates: Rates

    def text(self) -> tuple[str, str]:
        counts = [(self.good, self.rates.good), (self.bad, self.rates.bad)]
        said = " and ".join(f"{count.failures} of {count.runs} runs in {label}" for label, count in counts)
        return (
            f"the test fails in {said}: that does not tell them apart",
            "find a test that fails more often in one of them, or tell its failure from others with --expect",
        )


class Flaky(Exception):
    """The test was seen to contradict itself: the search begins again, with as many runs as that takes. Never leaves
    the search."""


class Conditions(Record):
    """What makes a run a failure: a `text` that it prints, an exit code (`status`), else how the bad environment ends.
    `labels` are the names of the good and the bad environment, and `repeat` is how often what decides is run."""

    labels: tuple[str, str]
    text: str = ""
    status: int | None = None
    repeat: int = 0


class Judge:
    """Gives verdicts on selections; 0 is the good environment, and `everything` the bad one."""

    def __init__(
        self,
        prober: Prober,
        candidate: Callable[[int], Candidate],
        everything: int,
        conditions: Conditions,
        pool: ThreadPoolExecutor,
        jobs: int,
    ) -> None:
        self._prober = prober
        self._candidate = candidate
        self._everything = everything
        self._conditions = conditions
        self._pool = pool
        self._jobs = jobs
        self._seen: dict[int, list[Observation]] = {}
        self._verdicts: dict[tuple[int, bool], Verdict] = {}
        self.failure = Failure(conditions.text, conditions.status)
        self.rates: Rates | None = None
        self.runs = self.remembered = 0

    def check_ends(self) -> None:
        """Have the test succeed in the good environment and fail in the bad one. Raises GoodFails and BadSucceeds, and
        TooFlaky where that is so by chance."""
        ends = 0, self._everything
        self._observe(ends, max(1, self._conditions.repeat))
        for selection, wanted in zip(ends, (GOOD, BAD), strict=True):
            began = time.monotonic()
            while wanted not in self._of(selection) and self._may_differ(selection, began):
                self._observe([selection], len(self._seen[selection]) + self._jobs)
            if wanted not in self._of(selection):
                label = self._conditions.labels[wanted == BAD]
                how = self._how(selection)
                raise GoodFails(label, how) if wanted == GOOD else BadSucceeds(label, how)
        self._learn_last_words()
        self._know_ends()
        self._prober.expect_no_longer()
        if any(is_mixed(self._of(selection)) for selection in ends):
            self.be_patient()

    def be_patient(self) -> None:
        """Take it that the test is flaky: learn how often it fails, and forget the verdicts. Raises TooFlaky."""
        ends = 0, self._everything
        self._observe(ends, max(SAMPLE, self._conditions.repeat))
        good, bad = (count_of(self._of(selection)) for selection in ends)
        self.rates = Rates(good, bad)
        if not self.rates.can_be_told_apart:
            raise TooFlaky(*self._conditions.labels, self.rates)
        self._learn_last_words()
        self._verdicts = {}
        self._know_ends()

    def first_bad(self, selections: Sequence[int], *, alike: bool = True) -> int | None:
        """Try candidates in their order, as many at a time as there are jobs; return the place of the first bad one.
        With `alike` only those are bad that fail with the bad environment's last words, where these are known.
        Raises Flaky."""
        step = self._jobs if self.rates is None else 1
        for start in range(0, len(selections), step):
            batch = selections[start : start + step]
            left = [selection for selection in dict.fromkeys(batch) if (selection, alike) not in self._verdicts]
            self._decide(left, alike)
            for place, selection in enumerate(batch, start):
                if self._verdicts[selection, alike] == BAD:
                    return place
        return None

    def tried(self) -> Iterator[tuple[int, Verdict, Observation]]:
        """Yield the candidates in the order in which they were tried, with their verdicts and their last runs."""
        for selection, seen in self._seen.items():
            verdicts = (self._verdicts.get((selection, alike)) for alike in (True, False))
            yield selection, next(filter(None, verdicts), UNRESOLVED), seen[-1]

    def is_good(self, selection: int) -> bool:
        """Return whether a candidate that was tried is good."""
        return GOOD in (self._verdicts.get((selection, True)), self._verdicts.get((selection, False)))

    def confirm(self, smallest: int, others: Iterable[int]) -> None:
        """Run what decides the answer some more times: the smallest bad candidate, and those of the others that were
        tried. Raises Flaky if one does not end alike, or not as it did before."""
        if self.rates is None:
            decisive = [smallest, *(selection for selection in others if selection in self._seen)]
            self._observe(decisive[:MAX_DECISIVE], self._conditions.repeat or DECISIVE_RUNS)
            self._check(decisive[:MAX_DECISIVE])
            if self._of(smallest, alike=False)[-1] != BAD:
                raise Flaky

    def _decide(self, selections: Sequence[int], alike: bool) -> None:
        if self.rates is None:
            self._observe(selections, 1)
            self._check(selections)
            self._verdicts |= {(selection, alike): self._of(selection, alike)[-1] for selection in selections}
            return
        for selection in selections:
            self._observe([selection], 1)
            while (verdict := judged(self._of(selection, alike), self.rates)) is None:
                self._observe([selection], len(self._seen[selection]) + self._jobs)
            self._verdicts[selection, alike] = verdict

    def _know_ends(self) -> None:
        for alike in (False, True):
            self._verdicts |= {(0, alike): GOOD, (self._everything, alike): BAD}

    def _check(self, selections: Iterable[int]) -> None:
        if any(is_mixed(self._of(selection)) for selection in selections):
            raise Flaky

    def _of(self, selection: int, alike: bool = True) -> list[Verdict]:
        """Return what each run of a candidate says."""
        failure = self.failure if alike else self.failure.replace(last_words=None)
        return [verdict_of(seen, failure) for seen in self._seen[selection]]

    def _may_differ(self, selection: int, began: float) -> bool:
        """Return whether an environment that does not do what it is to do is run once more."""
        seen = self._seen[selection]
        most = self._conditions.repeat or _SECOND_LOOKS
        return seen[-1].started and len(seen) < most and time.monotonic() - began < _SECONDS_FOR_LOOKS

    def _observe(self, selections: Iterable[int], runs: int) -> None:
        """Bring candidates to so many runs each, in parallel, with those that are remembered."""
        pending = []
        for selection in selections:
            candidate = self._candidate(selection)
            if selection not in self._seen:
                self._seen[selection] = self._prober.known(candidate)
                self.remembered += len(self._seen[selection])
            missing = runs - len(self._seen[selection])
            if missing > 0:
                request = self._prober.request(candidate)
                pending += [(candidate, request)] * missing
        if len(pending) == 1:
            ended = [self._prober.run(*pending[0])]
        else:
            futures = [self._pool.submit(self._prober.run, *job) for job in pending]
            ended = [future.result() for future in futures]
        self.runs += len(ended)
        for (candidate, _), observation in zip(pending, ended, strict=True):
            self._seen[candidate.selection].append(observation)
        for candidate in {candidate.selection: candidate for candidate, _ in pending}.values():
            self._prober.remember(candidate, self._seen[candidate.selection])
        self._learn_failure()

    def _learn_failure(self) -> None:
        """Take the first failure of the bad environment for the one that is looked for, if nobody said which it is."""
        if self._conditions.text or self._conditions.status is not None or self.failure != Failure():
            return
        for seen in self._seen.get(self._everything, ()):
            if seen.started and (seen.timed_out or seen.status not in (0, SKIP)):
                self.failure = failure_of(seen, "", None)
                return

    def _learn_last_words(self) -> None:
        """Take what the bad environment says last for a part of the failure, if it says that each time, and nobody said
        how the failure is known. One run more shows whether it does."""
        self.failure = self.failure.replace(last_words=None)
        if self._conditions.text or self._conditions.status is not None or self.failure.timed_out:
            return
        self._observe([self._everything], 2)
        failed = [seen for seen in self._seen[self._everything] if verdict_of(seen, self.failure) == BAD]
        if len(failed) > 1 and len({seen.last_words for seen in failed}) == 1:
            self.failure = self.failure.replace(last_words=failed[0].last_words)

    def _how(self, selection: int) -> str:
        """Return how the test ended in an environment, in words."""
        seen = self._seen[selection]
        last = seen[-1]
        times = f", in {len(seen)} runs" if len(seen) > 1 else ""
        if not last.started:
            return f"it could not be started: {self._prober.tails.get(selection, '')}".removesuffix(": ")
        if last.timed_out:
            return f"its time was up{times}"
        text = self._conditions.text
        says = "" if not text else f", and it does {'' if last.says else 'not '}print the expected text"
        return f"exit code {last.status}{says}{times}"
