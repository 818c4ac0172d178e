"""Verdicts on a flaky test."""

from __future__ import annotations

import random

import pytest

from envbuild.bisect.flakiness import Count, Rates, count_of, is_mixed, judged
from envbuild.bisect.verdict import BAD, GOOD, UNRESOLVED


@pytest.mark.parametrize(("good_rate", "bad_rate"), [(0.0, 0.2), (0.2, 1.0), (0.0, 0.5), (0.3, 0.7)])
def test_candidates_are_told_apart_by_how_often_they_fail(good_rate, bad_rate):
    draw = random.Random(f"{good_rate} {bad_rate}")
    rates = Rates(Count(round(30 * good_rate), 30), Count(round(30 * bad_rate), 30))
    assert rates.can_be_told_apart
    wrong = 0
    for rate, expected in ((good_rate, GOOD), (bad_rate, BAD)):
        for _ in range(300):
            runs = []
            while (verdict := judged(runs, rates)) is None:
                runs.append(BAD if draw.random() < rate else GOOD)
            wrong += verdict != expected
    assert wrong <= 6


def test_rates_that_are_alike_are_not_told_apart():
    assert not Rates(Count(10, 30), Count(11, 30)).can_be_told_apart
    assert not Rates(Count(20, 30), Count(10, 30)).can_be_told_apart


def test_runs_that_say_nothing_are_no_verdict():
    rates = Rates(Count(0, 30), Count(6, 30))
    assert judged([UNRESOLVED] * 2, rates) is None
    assert judged([UNRESOLVED] * 3, rates) == UNRESOLVED
    assert count_of([GOOD, BAD, UNRESOLVED]) == Count(1, 2)
    assert is_mixed([GOOD, BAD])
    assert not is_mixed([GOOD, UNRESOLVED])


def test_there_is_an_end_to_the_runs_of_one_candidate():
    rates = Rates(Count(3, 30), Count(6, 30))
    assert judged([GOOD, BAD] * 200, rates) is not None
