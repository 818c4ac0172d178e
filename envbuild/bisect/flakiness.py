"""Verdicts on a test that does not end alike each time, by how often it fails in the good and in the bad environment.

A candidate is run until its runs are so much likelier with the bad environment's rate of failures than with the good
one's, or the other way round, that a wrong verdict is rare (Wald, "Sequential tests of statistical hypotheses").
"""

from __future__ import annotations

from collections.abc import Sequence
from math import log

from envbuild.bisect.verdict import BAD, GOOD, UNRESOLVED, Verdict
from envbuild.record import Record

RISK = 0.001
"""How often a verdict on a candidate may be wrong: some dozen of them make an answer."""
SAMPLE = 30
"""Runs of both environments from which the rates are taken."""
MAX_RUNS = 400
"""Of one candidate; then the likelier verdict is given."""
MIN_DIFFERENCE = 0.08
"""Of the two rates, which would else need thousands of runs to be told apart."""


class Count(Record):
    """How many of some runs failed."""

    failures: int
    runs: int

    @property
    def rate(self) -> float:
        """An estimate of how often the test fails, which is never 0 or 1 for certain."""
        return (self.failures + 0.5) / (self.runs + 1)


class Rates(Record):
    """How often the test fails in the good and in the bad environment."""

    good: Count
    bad: Count

    @property
    def can_be_told_apart(self) -> bool:
        """Whether the bad environment fails so much more often that candidates can be judged by it."""
        return self.bad.rate - self.good.rate >= MIN_DIFFERENCE


def count_of(verdicts: Sequence[Verdict]) -> Count:
    """Return how many of the runs that say something say that it fails."""
    return Count(verdicts.count(BAD), len(verdicts) - verdicts.count(UNRESOLVED))


def is_mixed(verdicts: Sequence[Verdict]) -> bool:
    """Return whether runs of one candidate contradict each other."""
    return len(set(verdicts) & {GOOD, BAD}) == 2


def judged(verdicts: Sequence[Verdict], rates: Rates) -> Verdict | None:
    """Return the verdict on a candidate from those of its runs, None if more runs are needed."""
    unresolved = verdicts.count(UNRESOLVED)
    if unresolved >= 3 and 2 * unresolved > len(verdicts):
        return UNRESOLVED
    bad, good = rates.bad.rate, rates.good.rate
    count = count_of(verdicts)
    weight = count.failures * log(bad / good) + (count.runs - count.failures) * log((1 - bad) / (1 - good))
    if abs(weight) >= log(1 / RISK) or len(verdicts) >= MAX_RUNS:
        return BAD if weight > 0 else GOOD
    return None
