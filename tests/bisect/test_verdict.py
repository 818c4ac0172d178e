"""What a run says of a candidate."""

from __future__ import annotations

import pytest

from envbuild.bisect.verdict import (
    BAD,
    GOOD,
    MAX_WORDS,
    UNRESOLVED,
    Failure,
    Observation,
    failure_of,
    last_words_of,
    verdict_of,
)


@pytest.mark.parametrize(
    ("seen", "failure", "verdict"),
    [
        (Observation(0), Failure(status=1), GOOD),
        (Observation(1), Failure(status=1), BAD),
        (Observation(2), Failure(status=1), UNRESOLVED),
        (Observation(139), Failure(status=1), UNRESOLVED),
        (Observation(125), Failure(status=125), UNRESOLVED),
        (Observation(127, started=False), Failure(status=127), UNRESOLVED),
        (Observation(127), Failure(status=127), BAD),
        (Observation(137, timed_out=True), Failure(status=1), UNRESOLVED),
        (Observation(137, timed_out=True), Failure(status=137), UNRESOLVED),
        (Observation(137, timed_out=True), Failure(timed_out=True), BAD),
        (Observation(1, says=True), Failure("x"), BAD),
        (Observation(0, says=True), Failure("x"), BAD),
        (Observation(1), Failure("x"), UNRESOLVED),
        (Observation(0), Failure("x"), GOOD),
        (Observation(1, says=True), Failure("x", 2), UNRESOLVED),
        (Observation(2, says=True), Failure("x", 2), BAD),
        (Observation(125, says=True), Failure("x"), UNRESOLVED),
    ],
)
def test_only_the_failure_that_is_looked_for_is_bad(seen, failure, verdict):
    assert verdict_of(seen, failure) == verdict


def test_without_more_the_failure_is_that_of_the_bad_environment():
    assert failure_of(Observation(3), "", None) == Failure(status=3)
    assert failure_of(Observation(137, timed_out=True), "", None) == Failure(timed_out=True)
    assert failure_of(Observation(3), "text", None) == Failure("text")
    assert failure_of(Observation(3), "", 4) == Failure(status=4)


def test_a_failure_of_the_same_code_with_other_last_words_says_nothing():
    looked_for = Failure(status=1, last_words="no such function: concat")
    assert verdict_of(Observation(1, last_words="no such function: concat"), looked_for) == BAD
    assert verdict_of(Observation(1, last_words="No module named encodings"), looked_for) == UNRESOLVED
    assert verdict_of(Observation(0), looked_for) == GOOD


@pytest.mark.parametrize(
    ("output", "words"),
    [
        ("", ""),
        ("a\n\n  b: no\n \n", "b: no"),
        ("2026/11/27 23:45:58 [emerg] 3#3: invalid", "#/#/# # [emerg] ### invalid"),
        ("/tmp/tmp0x1f.so: bad at 0x7f36", "/tmp/# bad at #"),
        ("x" * 5000, "x" * MAX_WORDS),
    ],
)
def test_last_words_leave_out_what_may_be_another_each_time(output, words):
    assert last_words_of(output) == words
