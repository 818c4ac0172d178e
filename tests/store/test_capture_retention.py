"""How many captures of a machine are kept: a function of its history."""

from __future__ import annotations

import calendar
import json

import pytest

from envbuild.errors import BadOption
from envbuild.store.capture_retention import DAY, HOUR, Retention, parse_retention, thinned_out
from envbuild.store.tags import BUILD, CAPTURE, HistoryEntry

NOW = calendar.timegm((2026, 11, 28, 12, 30, 0))


def history(times: list[float], trigger: str = "timer", action: str = CAPTURE) -> list[HistoryEntry]:
    """A tag's moves at these times, which are given in their order, the newest first."""
    detail = json.dumps({"trigger": trigger})
    entries = [
        HistoryEntry(number, "laptop", "latest", f"{number:064x}", moved, action, detail)
        for number, moved in enumerate(sorted(times), 1)
    ]
    return entries[::-1]


USUAL = Retention()


def kept(entries: list[HistoryEntry], retention: Retention = USUAL, now: float = NOW) -> list[float]:
    gone = thinned_out(entries, retention, now)
    return [entry.moved for entry in entries if entry.number not in gone]


def test_hourly_for_a_day_daily_for_a_month_monthly_after_that():
    every_half_hour = [NOW - 1800 * number for number in range(2 * 24 * 400)]
    ages = [(NOW - moved) for moved in kept(history(every_half_hour))]
    assert len([age for age in ages if age <= DAY]) == 25
    assert len([age for age in ages if DAY < age <= 31 * DAY]) == 31
    assert len([age for age in ages if age > 31 * DAY]) == 13


def test_what_is_kept_of_a_past_month_stays_the_same_as_time_goes_on():
    moments = [NOW - 7 * HOUR * number for number in range(1500)]
    entries = history(moments)
    now = {moved for moved in kept(entries) if moved < NOW - 70 * DAY}
    for days in (1, 10, 40, 300):
        later = set(kept(entries, now=NOW + days * DAY))
        assert now <= later


def test_the_newest_stays_whatever_the_limits_are():
    entries = history([NOW - 900 * DAY, NOW - 800 * DAY])
    assert kept(entries, Retention(0, 0, 0)) == [NOW - 800 * DAY]


def test_captures_that_somebody_asked_for_and_builds_are_not_thinned_out():
    minutes = [NOW - 60 * number for number in range(100)]
    assert len(kept(history(minutes, "hand"))) == 100
    assert len(kept(history(minutes, "restore"))) == 100
    assert len(kept(history(minutes, action=BUILD))) == 100
    assert len(kept(history(minutes, "apt"))) == 3


def test_limits_are_read():
    assert parse_retention("hours=48, months=24") == Retention(48, 31, 24)
    assert parse_retention("hours=all").keeps_all
    for text in ("", "hours", "hours=-1", "weeks=3", "hours=1,hours=2", "hours=9999999"):
        with pytest.raises(BadOption):
            parse_retention(text)
