"""Errors as the user sees them."""

from __future__ import annotations

import io

from envbuild.errors import EnvbuildError, Interrupted, UsageError
from envbuild.ui.errors import render_bug, render_error


def shown(error: EnvbuildError, colour: bool = False) -> str:
    stream = io.StringIO()
    render_error(error, stream, colour)
    return stream.getvalue()


def test_a_message_and_its_hint():
    error = UsageError("no image is called 'wbe'", "did you mean 'web'?")
    assert shown(error) == "error: no image is called 'wbe'\nhint: did you mean 'web'?\n"
    assert shown(UsageError("no")) == "error: no\n"


def test_the_errors_of_a_recipe_are_left_as_they_are():
    text = "error: unknown option 'netwrok' for run\n  --> web.env:6:5\n\nerror: another\n"
    assert shown(UsageError(text)) == text
    assert shown(UsageError(text), colour=True).count("\x1b[1;31merror:\x1b[0m") == 2


def test_an_interruption_is_not_called_an_error():
    assert shown(Interrupted()).startswith("interrupted\nhint: what had finished is kept")


def test_a_message_can_not_act_on_the_terminal():
    assert shown(UsageError("no \x1b]0;title\x07file", "\x1b[31mred")) == "error: no file\nhint: red\n"


def test_a_bug_says_that_it_is_one_and_where_the_traceback_is():
    stream = io.StringIO()
    render_bug(KeyError("step"), "/tmp/envbuild-bug.txt", stream)
    assert stream.getvalue() == (
        "error: this is a bug in envbuild (KeyError: 'step')\n"
        "hint: the traceback is in /tmp/envbuild-bug.txt; please report the bug with that file\n"
    )


def test_a_bug_whose_traceback_could_not_be_saved():
    stream = io.StringIO()
    render_bug(AssertionError(), None, stream)
    assert "(AssertionError)" in stream.getvalue()
    assert "could not be saved" in stream.getvalue()
