import pytest

from envbuild.compose.file.interpolate import BadReference, interpolate

SET = {"NAME": "ada", "EMPTY": "", "N": "7"}


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("plain", "plain"),
        ("$NAME-$N", "ada-7"),
        ("${NAME}s", "adas"),
        ("$$NAME $${NAME}", "$NAME ${NAME}"),
        ("${EMPTY:-other}", "other"),
        ("${EMPTY-other}", ""),
        ("${NOT-other}", "other"),
        ("${NOT:-a ${NAME:-x} b}", "a ada b"),
        ("${NOT:-${ALSO:-$$}}", "$"),
        ("${NAME:+there}", "there"),
        ("${EMPTY:+there}", ""),
        ("${EMPTY+there}", "there"),
        ("${NOT+there}", ""),
        ("${NAME:?gone}", "ada"),
        ("${EMPTY?gone}", ""),
        ("${NAME:-}}", "ada}"),
    ],
)
def test_a_text_with_variables(text, expected):
    assert interpolate(text, SET, lambda name: None) == expected


def test_what_is_not_set_is_told_and_empty():
    messages = []
    assert interpolate("a${NOT}b$ALSO${NOT:-c}", SET, messages.append) == "abc"
    assert messages == ["NOT", "ALSO"]


@pytest.mark.parametrize(
    ("text", "message", "start", "length"),
    [
        ("${NOT:?give it}", "the variable NOT is not set: give it", 0, 15),
        ("a ${EMPTY:?}", "the variable EMPTY is not set", 2, 10),
        ("a $ b", "no name of a variable follows this '$'", 2, 1),
        ("${NAME", "this '${' is not closed", 0, 2),
        ("${NAME=x}", "'=' can't follow a variable's name", 0, 9),
        ("${}", "no name of a variable follows this '$'", 0, 2),
    ],
)
def test_what_is_wrong_and_where(text, message, start, length):
    with pytest.raises(BadReference) as raised:
        interpolate(text, SET, lambda name: None)
    assert (raised.value.message, raised.value.start, raised.value.length) == (message, start, length)
