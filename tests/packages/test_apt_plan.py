"""The plan that apt leaves: written in a sandbox by what the tree has, so anything may stand in it."""

import pytest

from envbuild.packages.apt_plan import Call, parse_plan

GOOD = """\
call /usr/sbin:/usr/bin:/sbin:/bin
word --force-unsafe-io
word --log=/dev/null
word --status-fd
word 12
word --no-triggers
word --unpack
word --auto-deconfigure
word --recursive
word /run/envbuild/packages/./a_1_all.deb
word /run/envbuild/packages/./b_1%3a2_amd64.deb
call /usr/bin
word --configure
word --pending
"""


def test_calls_are_read_in_their_order():
    options = ("--force-unsafe-io", "--log=/dev/null", "--no-triggers", "--auto-deconfigure")
    assert parse_plan(GOOD) == (
        Call("--unpack", options, ("a_1_all.deb", "b_1%3a2_amd64.deb"), "/usr/sbin:/usr/bin:/sbin:/bin"),
        Call("--configure", ("--pending",), (), "/usr/bin"),
    )


@pytest.mark.parametrize(
    ("words", "others"),
    [
        ("word --unpack", "word --remove"),
        ("word --unpack", "word --install"),
        ("word --no-triggers", "word --root=/"),
        ("word --no-triggers", "word --pre-invoke=reboot"),
        ("word --no-triggers", "word --log=/etc/passwd"),
        ("call /usr/bin\n", "call '; reboot; '\n"),
        ("call /usr/bin\n", "call\n"),
        ("./a_1_all.deb", "./a_1'; reboot; '.deb"),
        ("./a_1_all.deb", "./.."),
        ("word --pending", "word --pending\nword A'B"),
        ("word --configure", "word --configure\nword --unpack"),
    ],
)
def test_a_plan_of_another_form_is_none(words, others):
    assert words in GOOD
    assert parse_plan(GOOD.replace(words, others)) is None


@pytest.mark.parametrize("text", ["", "\n", "word --unpack\n", "call " * 3, "call /bin\n" * 2000, "\0"])
def test_what_is_no_plan_is_none(text):
    assert parse_plan(text) is None
