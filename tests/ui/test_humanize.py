"""Figures that people read."""

from __future__ import annotations

import pytest

from envbuild.text.dates import iso
from envbuild.text.sizes import format_size
from envbuild.text.width import columns, cut, pad
from envbuild.ui.build_messages import status_in_words
from envbuild.ui.humanize import ago, amount, count, duration


@pytest.mark.parametrize(
    ("number", "text"),
    [
        (0, "0 B"),
        (1023, "1023 B"),
        (1024, "1.0 KiB"),
        (1234, "1.2 KiB"),
        (1048524, "1023.9 KiB"),
        (1048525, "1.0 MiB"),
        (3400000, "3.2 MiB"),
        (137 << 30, "137.0 GiB"),
        (2 << 50, "2.0 PiB"),
        (-1234, "-1.2 KiB"),
    ],
)
def test_sizes(number, text):
    assert format_size(number) == text


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0, "0ms"),
        (0.0124, "12ms"),
        (0.0996, "0.1s"),
        (1.23, "1.2s"),
        (59.96, "1m 00s"),
        (123, "2m 03s"),
        (3599.6, "1h 00m"),
        (3725, "1h 02m"),
        (3 * 86400 + 4 * 3600, "3d 04h"),
        (-1, "0ms"),
    ],
)
def test_durations(seconds, text):
    assert duration(seconds) == text


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0, "just now"),
        (30, "30 seconds ago"),
        (60, "1 minute ago"),
        (7200, "2 hours ago"),
        (86400 * 3, "3 days ago"),
        (86400 * 21, "3 weeks ago"),
        (86400 * 90, "3 months ago"),
        (86400 * 800, "2 years ago"),
        (-3600, "2024-05-01T13:00:00Z"),
    ],
)
def test_how_long_ago(seconds, text):
    now = 1714564800
    assert iso(now) == "2024-05-01T12:00:00Z"
    assert ago(now - seconds, now) == text


def test_counts():
    assert (count(1, "step"), count(2, "step")) == ("1 step", "2 steps")
    assert (amount(1536, "bytes"), amount(3, "packages"), amount(3, "")) == ("1.5 KiB", "3 packages", "3")


@pytest.mark.parametrize(
    ("status", "words"),
    [
        (0, ""),
        (2, "exit status 2"),
        (127, "exit status 127 (command not found)"),
        (128, "exit status 128"),
        (137, "ended by SIGKILL (killed from outside; often the machine was out of memory)"),
        (143, "ended by SIGTERM"),
        (163, "ended by SIGRTMIN+1"),
        (255, "exit status 255"),
    ],
)
def test_a_status_in_words(status, words):
    assert status_in_words(status) == words


def test_the_table_of_signals_is_that_of_this_machine():
    import signal

    for number in signal.Signals:
        if number not in (signal.SIGRTMIN, signal.SIGRTMAX):
            assert f"ended by {number.name}" in status_in_words(128 + number)


def test_text_is_cut_and_filled_by_what_it_takes_on_a_terminal():
    assert columns("日本") == 4
    assert columns("e\u0301") == 1
    assert cut("日本語", 5) == "日本…"
    assert cut("日本語", 4) == "日…"
    assert cut("abc", 3) == "abc"
    assert cut("abcd", 0) == ""
    assert pad("日本", 6) == "日本  "
    assert pad("12", 4, right=True) == "  12"
