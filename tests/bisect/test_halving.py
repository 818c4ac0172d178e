"""The first bad of a row of states."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from envbuild.bisect.halving import FirstBad, first_bad
from envbuild.bisect.verdict import BAD, GOOD, UNRESOLVED


@given(st.data())
def test_the_border_is_found_with_as_many_trials_as_the_logarithm_says(data):
    count = data.draw(st.integers(2, 400))
    border = data.draw(st.integers(1, count - 1))
    tried = []

    def verdict(number):
        tried.append(number)
        return BAD if number >= border else GOOD

    assert first_bad(count, verdict) == FirstBad(border - 1, border)
    assert len(tried) <= (count - 1).bit_length()
    assert len(set(tried)) == len(tried)


@given(st.data())
def test_states_that_cannot_be_tried_are_only_left_out_where_they_hide_the_border(data):
    count = data.draw(st.integers(2, 60))
    border = data.draw(st.integers(1, count - 1))
    unknown = data.draw(st.sets(st.integers(1, count - 1)))

    def verdict(number):
        return UNRESOLVED if number in unknown else BAD if number >= border else GOOD

    result = first_bad(count, verdict)
    assert result.good < border <= result.bad
    assert result.skipped == tuple(range(result.good + 1, result.bad))
    assert set(result.skipped) <= unknown
