"""Names of signals, as docker accepts them."""

import signal

import pytest

from envbuild.linux.signal_names import signal_name, signal_number


@pytest.mark.parametrize(
    ("text", "number"),
    [
        ("WINCH", 28),
        ("SIGWINCH", 28),
        ("sigwinch", 28),
        ("28", 28),
        ("PWR", 30),
        ("RTMIN", 34),
        ("RTMIN+3", 37),
        ("SIGRTMIN+3", 37),
        ("sigrtmin+30", 64),
        ("RTMAX-2", 62),
        ("SIGRTMAX", 64),
        ("POLL", 29),
        ("IOT", 6),
        ("33", 33),
        ("64", 64),
    ],
)
def test_a_name_is_a_number(text, number):
    assert signal_number(text) == number


@pytest.mark.parametrize(
    "text", ["", "SIG", "TREM", "0", "65", "-9", "RTMIN+31", "RTMIN-1", "RTMAX+1", "RTMAX-31", "٣"]
)
def test_all_else_is_none(text):
    assert signal_number(text) == 0


def test_every_number_has_a_name_that_means_it():
    assert [signal_number(signal_name(number)) for number in range(1, 65)] == list(range(1, 65))
    assert [signal_name(number) for number in (15, 32, 35, 49, 50, 62, 65, 0, -1)] == [
        *("TERM", "32", "RTMIN+1", "RTMIN+15", "RTMAX-14", "RTMAX-2", "", "", "")
    ]


def test_they_are_those_of_the_standard_library():
    assert all(signal_number(known.name) == known for known in signal.Signals)
