"""Health of instances, and what they printed over a long time."""

import os
import threading
import time

import pytest

from envbuild.instances import logs
from tests.conftest import wait_for
from tests.instances.instances import WAITING, ended, own_file, run, state


@pytest.fixture
def checked(project):
    """A project with an image whose instances are well as long as they have a file /well."""
    check = "echo looked; cat /well && [ -f /well ]"
    lines = ("run true", f"health(every=200ms, timeout=60s, retries=2) {check}")
    assert project.build(*lines).code == 0
    with ended(project):
        yield project


@pytest.mark.namespaces
def test_it_is_asked_as_often_as_it_says_while_it_starts(project):
    check = "health(every=1h, retries=1, start-period=1h, start-interval=100ms) echo >> /asked; [ -e /well ]"
    assert project.build("run true", check).code == 0
    with ended(project):
        run(project, "web", "--", "sh", "-c", WAITING)
        asked = own_file(project, "asked")
        assert wait_for(lambda: asked.exists() and len(asked.read_text()) > 4)
        assert health(project) == "starting"
        project.command("exec", "one", "--", "touch", "/well")
        assert wait_for(lambda: health(project) == "healthy")


@pytest.mark.namespaces
def test_a_check_whose_command_does_not_exist_fails_at_once(project):
    assert project.build("run true", "health(every=1h, retries=100) pg_isready --quiet").code == 0
    with ended(project):
        run(project, "web", "--", "sh", "-c", WAITING)
        assert wait_for(lambda: health(project) == "unhealthy")
        assert "pg_isready: not found" in state(project)["check"]


def health(project) -> str | None:
    return state(project)["health"]


@pytest.mark.namespaces
def test_it_is_well_unwell_and_well_again(checked):
    run(checked, "web", "--", "sh", "-c", f"echo fine > /well; {WAITING}")
    assert wait_for(lambda: health(checked) == "healthy")
    assert state(checked)["check"] == "looked\nfine"
    assert "(healthy)" in checked.command("ps").out
    checked.command("exec", "one", "--", "rm", "/well")
    assert wait_for(lambda: health(checked) == "unhealthy")
    assert "No such file" in state(checked)["check"]
    # Nothing was restarted for it.
    assert state(checked)["restarts"] == 0
    checked.command("exec", "one", "--", "touch", "/well")
    assert wait_for(lambda: health(checked) == "healthy")
    checked.command("stop", "one")
    assert health(checked) is None


@pytest.mark.namespaces
def test_a_check_that_hangs_is_ended_with_what_it_started(checked):
    assert checked.build("run true", "health(every=200ms, timeout=300ms, retries=2) cat /well").code == 0
    run(checked, "web", "--", "sh", "-c", f"mkfifo /well; {WAITING}")
    assert wait_for(lambda: health(checked) == "unhealthy")
    assert state(checked)["check"].startswith("no answer in 0.3 s")
    # At most the check of now is there, and none of those before.
    assert checked.command("exec", "one", "--", "ps").out.count("cat /well") <= 2


@pytest.mark.namespaces
def test_it_starts_anew_with_each_restart_of_the_command(checked):
    # After the restart the first check waits at a pipe until this test has seen that it does.
    first = "touch /again /well; until [ -e /over ]; do sleep 0.05; done; mkfifo /pipe; mv /pipe /well; exit 1"
    command = f"test -e /again || {{ {first}; }}; while :; do sleep 0.05; done"
    run(checked, "--restart", "on-failure", "web", "--", "sh", "-c", command)
    assert wait_for(lambda: health(checked) == "healthy")
    checked.command("exec", "one", "--", "touch", "/over")
    assert wait_for(lambda: {"restarts": 1, "health": "starting"}.items() <= state(checked).items())
    # Opened for both ways, the pipe waits for no reader, as the check may be over; and it stays open for one to come.
    checked.command("exec", "one", "--", "sh", "-c", "mv /well /pipe; exec 3<> /pipe; echo >&3; sleep 1")
    assert wait_for(lambda: health(checked) == "unhealthy")


@pytest.mark.namespaces
def test_the_check_can_be_left_out(checked):
    run(checked, "--no-health", "web", "--", "sh", "-c", WAITING)
    assert health(checked) is None


def test_a_log_that_grows_too_large_makes_room(tmp_path, monkeypatch):
    monkeypatch.setattr(logs, "MAX_BYTES", 1000)
    path = str(tmp_path / "log")
    writer = logs.LogWriter(path)
    for number in range(100):
        writer.write(logs.OUT, [b"line %d" % number])
    writer.close()
    assert os.path.getsize(path) <= 1000
    assert os.path.getsize(f"{path}.1") <= 1000
    kept = [line for _, _, line in logs.entries(path)]
    assert kept[-1] == b"line 99"
    assert kept == [b"line %d" % number for number in range(100 - len(kept), 100)]


def test_who_follows_a_log_misses_nothing_when_it_makes_room(tmp_path, monkeypatch):
    monkeypatch.setattr(logs, "MAX_BYTES", 2000)
    path = str(tmp_path / "log")
    writer = logs.LogWriter(path)
    writer.write(logs.OUT, [b"first"])
    over = threading.Event()

    def write() -> None:
        for number in range(150):
            writer.write(logs.ERR, [b"line %d" % number])
            time.sleep(0.004)
        writer.close()
        over.set()

    thread = threading.Thread(target=write)
    thread.start()
    read = [line for _, _, line in logs.entries(path, follow=True, alive=lambda: not over.is_set())]
    thread.join()
    assert read == [b"first", *(b"line %d" % number for number in range(150))]
