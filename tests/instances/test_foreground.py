"""Instances in the foreground: on record as long as they run, and gone after, however they ended."""

import json
import os
import signal
from pathlib import Path

import pytest

from envbuild.instances.records import Instances
from tests.conftest import wait_for
from tests.instances.instances import WAITING, run, state

pytestmark = pytest.mark.namespaces


def left(project) -> list[str]:
    """What instances have left, names too."""
    folder = project.store / "instances"
    names = folder / ".names"
    return [entry for entry in os.listdir(folder) if entry != ".names"] + (os.listdir(names) if names.exists() else [])


def ended(process) -> int:
    code = process.wait(timeout=60)
    process.stdout.close()
    return code


def test_it_is_on_record_while_it_runs_and_other_commands_run_beside_it(image):
    process = image.start("run", "--name", "front", "web", "--", "sh", "-c", f"echo here > /mine; {WAITING}")
    try:
        assert wait_for(lambda: any(map(Path.read_text, (image.store / "instances").glob("*/upper/mine"))))
        assert image.command("exec", "front", "--", "cat", "/mine").out == "here\n"
        assert "front" in image.command("ps").out
        assert wait_for(lambda: state(image, "front")["state"] == "running")
        taken = image.command("run", "--name", "front", "web", "--", "true")
        assert (taken.code, "there is an instance 'front' already" in taken.err) == (1, True)
        assert image.command("cp", "front:/mine", ".").code == 0
        assert image.command("stop", "front").code == 0
    finally:
        image.command("kill", "--signal", "KILL", "front")
        code = ended(process)
    assert code == 3
    assert left(image) == []


@pytest.mark.user
def test_nothing_is_left_of_it_and_what_it_wrote(image):
    assert image.command("run", "web", "--", "sh", "-c", "mkdir -m 0 /a; echo x > /x; exit 4").code == 4
    assert image.command("run", "web", "--", "nothing").code == 127
    assert image.command("run", "-w", "/none", "web", "--", "true").code == 2
    assert left(image) == []


@pytest.mark.user
def test_what_a_killed_one_left_goes_with_the_next_command(image):
    process = image.start("run", "web", "--", "sh", "-c", f"touch /ready; {WAITING}")
    instances = Instances.of(str(image.store))
    assert wait_for(lambda: [instances.state(each).status for each in instances.all()] == ["running"])
    assert [each["state"] for each in json.loads(image.command("ps", "--format", "json").out)] == ["running"]
    process.send_signal(signal.SIGKILL)
    ended(process)
    assert len(left(image)) == 2
    assert image.command("run", "web", "--", "true").code == 0
    assert left(image) == []


def test_one_that_is_kept_can_be_started_again(image):
    script = "echo run >> /runs; cat /runs"
    assert image.command("run", "--keep", "--name", "one", "web", "--", "sh", "-c", script).out == "run\n"
    assert state(image)["state"] == "exited"
    assert image.command("start", "one").code == 0
    assert wait_for(lambda: state(image)["state"] == "exited")
    assert image.command("logs", "one").out == "run\nrun\n"


def test_one_in_the_background_that_is_not_to_be_kept_goes_when_it_is_over(image):
    run(image, "--rm", "-v", "data:/data", "web", "--", "sh", "-c", f"mkdir -m 0 /a; echo x > /data/x; {WAITING}")
    waiting = image.start("wait", "one")
    following = image.start("logs", "--follow", "one")
    assert image.command("exec", "one", "--", "test", "-e", "/bin").code == 0
    assert image.command("stop", "one").code == 0
    # 2 is for one that came too late, when there is no such instance any more.
    assert ended(waiting) in (3, 2)
    assert ended(following) in (0, 2)
    assert wait_for(lambda: left(image) == [])
    assert image.command("volume", "rm", "data").code == 0


def test_one_that_ends_at_once_and_one_that_is_restarted(image):
    run(image, "--rm", "web", "--", "true")
    assert wait_for(lambda: left(image) == [])
    run(image, "--rm", "--restart", "on-failure:2", "web", "--", "sh", "-c", "echo x >> /x; exit 1")
    assert wait_for(lambda: left(image) == [])
