"""The server that tests fork their commands from."""

import subprocess

import pytest

pytestmark = pytest.mark.namespaces


def test_a_command_that_hangs_tells_where_each_of_its_threads_is(project):
    project.write("web.env", "from tar:busybox.tar", "run echo begun; sleep 1000")
    with pytest.raises(subprocess.TimeoutExpired) as caught:
        project.command("build", "web.env", timeout=3)
    (note,) = caught.value.__notes__
    assert note.count("(most recent call first)") >= 2
    assert "in _run_stage" in note
    assert "in _wait_for_all" in note
