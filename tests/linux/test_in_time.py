"""Functions that may hang, run for a while."""

import time

from envbuild.linux.in_time import answers_in_time


def hang() -> str:
    time.sleep(60)
    return "late"


def fail() -> str:
    raise OSError("no")


def test_all_answer_in_parallel_and_one_that_hangs_costs_the_time_that_there_is(capfd):
    started = time.monotonic()
    answers = answers_in_time([hang, lambda: "first", fail, lambda: "second"], 3)
    assert answers[0] is None
    assert (answers[1], answers[3]) == ("first", "second")
    assert not answers[2]
    assert time.monotonic() - started < 50


def test_nothing_to_ask_takes_no_time():
    assert answers_in_time([], 60) == []
