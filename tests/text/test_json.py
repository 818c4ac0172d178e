"""The short JSON reads and writes what the standard library's does, and fails where that fails."""

import json as standard

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from envbuild.text import json
from tests.imports import imported

values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=4), inner, max_size=4),
    max_leaves=12,
)
ways = st.sampled_from([{}, {"sort_keys": True}, {"separators": (",", ":")}, {"ensure_ascii": False}])


def outcome(call):
    try:
        return repr(call())
    except Exception as error:
        return type(error), str(error)


@settings(database=None)
@given(values, ways)
def test_what_is_written_is_what_the_standard_library_writes(value, way):
    text = standard.dumps(value, **way)
    assert json.dumps(value, **way) == text
    assert repr(json.loads(f" {text}\n")) == repr(standard.loads(text))


@pytest.mark.parametrize("value", [{1: 2}, {(): 1}, object(), {1, 2}, b"x", float("nan"), "\ud800", (1, (2,))])
def test_unusual_values(value):
    first, second = outcome(lambda: json.dumps(value)), outcome(lambda: standard.dumps(value))
    assert first == second


@settings(database=None)
@given(st.text(alphabet='{}[]",:0123456789.eE+-\\ntfalsrueN \x01\ufeff', max_size=12) | st.binary(max_size=5))
def test_any_text_is_read_or_refused_alike(text):
    assert outcome(lambda: json.loads(text)) == outcome(lambda: standard.loads(text))


def test_re_and_enum_are_not_imported():
    assert imported("json", "re", "enum") == set()
