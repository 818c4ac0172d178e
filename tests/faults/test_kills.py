"""Processes that are killed at any time: envbuild, its helper, process 1 of a sandbox; what waits takes over."""

import os
import random
import signal
import time

import pytest

from tests.conftest import first_then_nightly, wait_for
from tests.faults import killed_at
from tests.faults.kept import text_in
from tests.processes import alive_with

pytestmark = pytest.mark.namespaces
SLOW, QUICK = ("--secret", "pace=slow"), ("--secret", "pace=quick")
"""How a step that looks for it goes: secrets are no part of its key."""
WAITS = "while grep -q slow /run/secrets/pace; do sleep 0.02; done"


def lines(mark: str) -> tuple[str, ...]:
    """A recipe one of whose steps leaves a process that would sleep for `mark` seconds, and goes on if it is QUICK."""
    return (
        "from tar:busybox.tar as one",
        "run for i in 1 2 3 4 5 6 7 8; do echo $i > /f$i; done; mkdir /d; ln -s f1 /link",
        "run sleep 0.05; rm /f3; echo changed > /f4",
        "from tar:busybox.tar",
        "copy app/ -> /app/",
        f"run(secret=pace) (sleep {mark} &); {WAITS}; sleep 0.05; echo a > /a",
        "copy(from=one) /d/ /f1 /f4 -> /from-one/",
        "file /etc/motd",
        "    text",
        "run sleep 0.02; echo b > /b; cp /bin/busybox /copy",
        "run echo c >> /b",
    )


def mounts() -> str:
    with open("/proc/self/mountinfo") as file:
        return file.read()


def children(pid: int) -> list[int]:
    pids = []
    for entry in os.listdir("/proc"):
        if entry.isdigit():
            try:
                with open(f"/proc/{entry}/stat") as file:
                    fields = file.read().rpartition(")")[2].split()
            except OSError:
                continue
            if int(fields[1]) == pid:
                pids.append(int(entry))
    return pids


def write_files(project) -> None:
    for pace in ("slow", "quick"):
        project.write(pace, pace)
    for number in range(60):
        project.write(f"app/d{number % 7}/f{number}", str(number) * 100)


@pytest.fixture(scope="module")
def undisturbed(shared_project):
    """What the recipe gives, whatever the mark in its words."""
    write_files(shared_project)
    done = shared_project.build(*lines("600"), options=QUICK)
    assert done.code == 0, done.err
    return done.image


@pytest.fixture
def recipe(project, undisturbed, mark):
    write_files(project)
    project.write("web.env", *lines(mark))
    project.image = undisturbed
    project.mounts = mounts()
    project.mark = mark
    return project


def check_after(project, what: str) -> None:
    assert wait_for(lambda: not alive_with(project.mark)), what
    assert mounts() == project.mounts, what
    again = project.build(options=QUICK)
    assert again.code == 0, f"{what}: {again.err}"
    assert again.image == project.image, what
    checked = project.command("fsck")
    assert checked.code == 0, f"{what}: {checked.out}"
    assert list((project.store / "work").iterdir()) == [], what
    assert project.build().ran == [], what


@pytest.mark.slow
@pytest.mark.parametrize("seed", first_then_nightly(12, 2))
def test_killed_at_a_random_time_the_next_build_gives_the_same_digest(recipe, seed):
    randomness = random.Random(seed)
    # Several builds on end are killed, each goes a little further or less far.
    for _ in range(3):
        build = recipe.start("build", "web.env", *QUICK)
        time.sleep(randomness.uniform(0.02, 0.6))
        build.send_signal(signal.SIGKILL)
        build.communicate()
    check_after(recipe, f"seed {seed}")


@pytest.mark.user
@pytest.mark.parametrize("depth", [1, 2], ids=["the helper", "process 1 of a sandbox"])
def test_a_part_of_it_is_killed(recipe, depth):
    build = recipe.start("build", "web.env", *SLOW)
    assert wait_for(lambda: alive_with(f"sleep\0{recipe.mark}"))
    family = [build.pid]
    for _ in range(depth):
        family = [child for pid in family for child in children(pid)]
    for pid in family:
        os.kill(pid, signal.SIGKILL)
    output, _ = build.communicate(timeout=300)
    assert build.returncode in (0, 1), output  # a sandbox in waiting may have been hit
    assert b"Traceback" not in output
    assert b"this is a bug" not in output
    check_after(recipe, "part")


@pytest.mark.user
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupted_build_leaves_nothing_running(recipe, number):
    build = recipe.start("build", "web.env", *SLOW)
    assert wait_for(lambda: alive_with(f"sleep\0{recipe.mark}"))
    build.send_signal(number)
    output, _ = build.communicate(timeout=300)
    assert build.returncode == 130, output
    assert not alive_with(recipe.mark)
    assert list((recipe.store / "work").iterdir()) == []
    check_after(recipe, "interrupted")


def test_a_waiting_build_takes_over_when_the_one_that_runs_the_step_is_killed(project, mark):
    write_files(project)
    project.write("slow.env", "from tar:busybox.tar", f"run(secret=pace) echo started; {WAITS}; echo {mark} > /a")
    first = project.start("build", "slow.env", *SLOW)
    assert wait_for(lambda: alive_with(f"echo {mark} >"))
    second = project.start("build", "slow.env", "--progress", "plain", *QUICK)
    waiting = b"another build is running"
    assert second.stdout is not None
    seen = b""
    while waiting not in seen:
        line = second.stdout.readline()
        assert line, seen
        seen += line
    first.send_signal(signal.SIGKILL)
    first.communicate()
    rest, _ = second.communicate(timeout=300)
    assert second.returncode == 0, rest
    assert b"echo started" in seen + rest
    assert project.command("run", "slow", "--", "cat", "/a").out == f"{mark}\n"
    assert list((project.store / "work").iterdir()) == []


@pytest.mark.user
def test_an_instance_that_is_killed_leaves_nothing(project, mark):
    assert project.build("run echo 1 > /a").code == 0
    before = mounts()
    instance = project.start("run", "web", "--", "sh", "-c", f"(setsid sleep {mark} &); trap '' TERM; sleep {mark}")
    assert wait_for(lambda: len(alive_with(f"sleep\0{mark}")) == 2)
    instance.send_signal(signal.SIGKILL)
    instance.communicate()
    assert wait_for(lambda: not alive_with(mark))
    assert mounts() == before
    assert project.command("images").code == 0
    assert project.command("run", "web", "--", "true").code == 0
    assert list((project.store / "work").iterdir()) == []


def test_a_killed_gc_leaves_garbage_and_no_hole(project, tmp_path):
    """gc is killed after each of its removals in turn."""
    kept = project.build("run echo kept > /kept", name="kept.env")
    assert project.build(*(f"run echo {number} > /garbage-{number}" for number in range(6))).code == 0
    assert project.command("untag", "web:latest").code == 0
    (project.folder / "web.env.lock").unlink()
    killed = 0
    for number in range(1, 30, 3):
        done = project.call(killed_at.removal, str(number), "gc")
        assert done.returncode in (0, -9), done.stderr
        killed += done.returncode == -9
        assert project.command("fsck").code == 0
        assert text_in(project, "kept", "/kept") == "kept\n"
    assert killed
    assert project.command("gc").code == 0
    assert project.build(name="kept.env").image == kept.image
