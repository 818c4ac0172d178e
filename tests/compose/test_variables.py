import pytest

from envbuild.compose.file.dotenv import BadVariables, parse_variables


def test_a_file_of_variables():
    text = """\
# a comment

A=1
export B = two words   # and a comment
C='$A stays, # too'
D="x ${A} \\"q\\" \\n $HOME \\$A"
E=
F=${A}${NOT:-none}
G="over
two lines"
HOME
NOT_THERE
H: yaml like
I=a#b
"""
    assert parse_variables(text, {"HOME": "/h"}) == {
        "A": "1",
        "B": "two words",
        "C": "$A stays, # too",
        "D": 'x 1 "q" \n /h $A',
        "E": "",
        "F": "1none",
        "G": "over\ntwo lines",
        "HOME": "/h",
        "H": "yaml like",
        "I": "a#b",
    }


def test_the_users_variables_go_first():
    assert parse_variables("A=1\nB=$A", {"A": "users"}) == {"A": "1", "B": "users"}


@pytest.mark.parametrize(
    ("text", "line", "message"),
    [
        ("A=1\nno name\n", 2, "a line is NAME=VALUE"),
        ("A='open\n\n", 1, "a quote is not closed"),
        ('A="x" y', 1, "something follows a closed quote"),
        ("A=1\nB=x\0", 2, "a variable can't hold the character U+0000"),
        ("\nA=${B", 2, "this '${' is not closed"),
    ],
)
def test_what_is_wrong(text, line, message):
    with pytest.raises(BadVariables) as raised:
        parse_variables(text, {})
    assert (raised.value.line, raised.value.message) == (line, message)
