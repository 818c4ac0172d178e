"""What a function in a child process returns or raises arrives here."""

import errno
import os
import signal

import pytest

from envbuild.errors import MachineLacks, WorkFailed
from envbuild.linux.forked import ChildCrashed, ChildError, ChildKilled, call_in_child


def test_the_result_comes_back_and_nothing_else_does():
    seen = []

    def work():
        seen.append(1)
        return {"a": [1, 2], "b": (None, b"\xff", "\udc80")}

    assert call_in_child(work) == {"a": [1, 2], "b": (None, b"\xff", "\udc80")}
    assert seen == []


class Name(str):
    """A checked name, as packages and statements have them."""


def test_names_that_are_types_arrive_as_strings():
    result = call_in_child(lambda: [(Name("a"), {Name("b"): [Name("c")]})])
    assert result == [("a", {"b": ["c"]})]
    assert type(result[0][0]) is str


def test_a_result_that_can_not_be_sent_is_a_bug_that_is_told():
    with pytest.raises(ChildCrashed, match="can't be sent"):
        call_in_child(object)


def test_an_error_keeps_its_message_hint_and_exit_code():
    def work():
        error = MachineLacks("no overlayfs", "load the module")
        error.reported = True
        raise error

    with pytest.raises(ChildError) as raised:
        call_in_child(work)
    error = raised.value
    assert (error.message, error.hint, error.exit_code, error.reported) == ("no overlayfs", "load the module", 3, True)


def test_a_full_disk_is_one_here_too():
    def work():
        raise OSError(errno.ENOSPC, "No space left on device", "/store/objects")

    with pytest.raises(OSError, match="No space left") as raised:
        call_in_child(work)
    assert (raised.value.errno, raised.value.filename) == (errno.ENOSPC, "/store/objects")


def test_a_bug_brings_its_traceback():
    def work():
        return {}["missing"]

    with pytest.raises(ChildCrashed, match="KeyError: 'missing'") as raised:
        call_in_child(work)
    assert "in work" in raised.value.__notes__[0]


def test_an_interruption_goes_on():
    def work():
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        call_in_child(work)


def test_a_child_that_is_killed_is_an_error():
    with pytest.raises(ChildKilled, match="was ended by signal 9") as raised:
        call_in_child(lambda: os.kill(os.getpid(), signal.SIGKILL))
    assert isinstance(raised.value, WorkFailed)


def test_what_is_printed_before_is_printed_once(capfd):
    print("before", end="")
    call_in_child(lambda: print("inside", end=""))
    print("after")
    assert capfd.readouterr().out == "beforeinsideafter\n"


def test_no_child_is_left():
    child = call_in_child(os.getpid)
    with pytest.raises(ProcessLookupError):
        os.kill(child, 0)
