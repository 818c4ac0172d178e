"""Tables."""

from __future__ import annotations

import io

from hypothesis import given
from hypothesis import strategies as st

from envbuild.ui.tables import fitted, table


def printed(*arguments, **named):
    stream = io.StringIO()
    table(*arguments, stream=stream, **named)
    return stream.getvalue().splitlines()


def test_columns_are_aligned_and_figures_stand_at_the_right():
    rows = [["web:latest", "3.4 MiB", "just now"], ["日本", "12 B", "3 weeks ago"]]
    assert printed(["NAME", "SIZE", "MADE"], rows, right=[1]) == [
        "NAME           SIZE  MADE",
        "web:latest  3.4 MiB  just now",
        "日本           12 B  3 weeks ago",
    ]


def test_without_rows_there_are_headers_and_without_headers_there_are_rows():
    assert printed(["NAME", "SIZE"], []) == ["NAME  SIZE"]
    assert printed(["", ""], [["a", "b"]]) == ["a  b"]


def test_a_narrow_terminal_cuts_the_widest_column():
    rows = [["web", "run pip install flask requests jinja2", "1.2s"]]
    assert printed(["STAGE", "STEP", "TIME"], rows, width=30) == [
        "STAGE  STEP               TIME",
        "web    run pip install …  1.2s",
    ]
    assert printed(["STAGE", "STEP", "TIME"], rows)[1].endswith("jinja2  1.2s")


def test_a_name_can_not_act_on_the_terminal_or_break_the_table():
    assert printed([""], [["a\x1b[2J\nb\u202e"]]) == ["a\\x1b[2J\\nb\\u202e"]


@given(st.lists(st.integers(0, 200), min_size=1, max_size=6), st.integers(1, 200))
def test_columns_fit_if_they_can_and_lose_no_more_than_needed(widths, total):
    result = fitted(widths, total)
    gaps = 2 * (len(widths) - 1)
    assert all(min(before, 6) <= after <= before for before, after in zip(widths, result, strict=True))
    smallest = sum(min(width, 6) for width in widths) + gaps
    assert sum(result) + gaps == min(sum(widths) + gaps, max(total, smallest))
