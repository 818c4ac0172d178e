"""What runs again and what does not."""

import json
import os
import re
import signal

import pytest

from tests.conftest import wait_for
from tests.processes import alive_with, end_with

pytestmark = pytest.mark.namespaces


def test_nothing_runs_when_nothing_changed(project):
    project.write("a.txt", "1")
    first = project.build("copy a.txt -> /a", "run cat /a > /b", "test test -e /b")
    again = project.build()
    assert len(first.ran) == 4
    assert again.ran == []
    assert len(again.cached) == 4
    assert again.image == first.image


def test_an_edit_in_the_middle_runs_until_a_tree_is_as_before(project):
    lines = [f"run echo {number} > /f{number}" for number in range(1, 21)]
    project.build(*lines)
    lines[9] = "run echo 10 > /f10; true"
    again = project.build(*lines)
    assert again.ran == ["run echo 10 > /f10; true"]
    lines[9] = "run echo ten > /f10"
    third = project.build(*lines)
    assert third.ran == lines[9:]


def test_a_touched_file_runs_nothing_and_an_edited_one_does(project):
    path = project.write("a.txt", "1")
    project.build("copy a.txt -> /a", "run cat /a > /b")
    os.utime(path, (1, 1))
    assert project.build().ran == []
    project.write("a.txt", "2")
    assert project.build().ran == ["copy a.txt -> /a", "run cat /a > /b"]
    project.write("a.txt", "1")
    assert project.build().ran == []


def test_a_parameter_that_a_step_does_not_mention_does_not_run_it_again(project):
    lines = ("recipe web", "param x = 1", "param y = 1", "from tar:busybox.tar", "run echo $x > /x", "run echo $y > /y")
    project.build(*lines)
    assert project.build(options=("--set", "y=2")).ran == ["run echo $y > /y"]


def test_a_failure_keeps_the_steps_before_and_shows_all_that_is_needed(project):
    done = project.build("run echo one > /a", "run echo what happened; exit 7", "run echo never")
    assert done.code == 1
    (failure,) = done.of("step-failed")
    assert failure["status"] == 7
    assert failure["line"] == 3
    assert failure["text"] == "run echo what happened; exit 7"
    assert "what happened" in failure["output"]
    assert failure["way_in"] == "envbuild shell --failed web"
    plain = project.command("build", "web.env")
    for text in ("exit status 7", "web.env:3", "run echo what happened; exit 7", "envbuild shell --failed web"):
        assert text in plain.err
    mended = project.build("run echo one > /a", "run echo what happened", "run echo never")
    assert mended.ran == ["run echo what happened", "run echo never"]


def test_shell_failed_shows_the_files_as_the_step_left_them(project):
    project.build("env A=1", "run echo left > /left; false")
    done = project.command("shell", "--failed", stdin=b"cat /left; echo $A; exit 5\n")
    assert done.code == 5
    assert done.out == "left\n1\n"


def test_the_whole_output_is_kept(project):
    done = project.build("run yes 0123456789abcde | head -n 65536", "run echo second")
    assert done.code == 0, done.err
    whole = project.command("output", "web", "2").out
    assert len(whole) == 16 * 65536
    assert project.command("output", "web", "3").out == project.command("output", "web", "#3").out == "second\n"
    base = project.command("output", "web", "1")
    assert (base.code, base.err.splitlines()[0]) == (
        2,
        "error: step 1 of web is 'from tar:busybox.tar', whose output is not kept",
    )
    assert "second" in project.command("output", "web").out
    project.build("run yes fail | head -n 20000; false")
    assert len(project.command("output", "--failed").out) == 5 * 20000
    for wrong in ("9", "x", "0"):
        assert project.command("output", "web", wrong).code == 2


def test_a_step_has_one_number_everywhere(project):
    """In a build, its events, `show` and `output`, also where other recipes are built along."""
    project.write("base.env", "from tar:busybox.tar\nrun echo base > /b\nrun echo more > /b2\n")
    done = project.build(
        "from tar:busybox.tar as tools",
        "run echo tool > /t",
        "test test -s /t",
        "from recipe:base.env",
        "env A=1",
        "run",
        "    printf twelve-bytes > /first",
        "    echo in it",
        "copy(from=tools) /t -> /t",
        "test test -s /t",
        "run rm /first",
    )
    assert done.code == 0, done.err
    events = {event["step"]: event for event in (*done.of("step-started"), *done.of("step-cached"))}
    own = {step: event["text"] for step, event in events.items() if event["recipe"] == "web"}
    shown = json.loads(project.command("show", "web", "--format", "json").out)
    assert own == {step["number"]: step["text"] for step in shown["steps"]} | {
        1: "from tar:busybox.tar as tools",
        4: "from recipe:base.env",
    }
    assert [stage["number"] for stage in shown["stages"]] == [1, 4]
    assert sorted(own) == [1, 2, 3, 4, 5, 6, 7, 8]
    assert {event["recipe"] for step, event in events.items() if step > 8} == {"base"}
    finished = {event["step"]: event for event in done.of("step-finished")}
    for step in shown["steps"]:
        for name in ("files", "size", "removed", "freed"):
            assert step[name] == finished[step["number"]][name], (step, name)
    text = project.command("show", "web").out
    assert re.search(r"^ +#5  run printf twelve-bytes > /first … +[0-9a-f]{12} +12 B +", text, re.MULTILINE)
    assert re.search(r"^ +#7  run rm /first +[0-9a-f]{12} +-12 B +", text, re.MULTILINE)
    assert "== #5 run printf twelve-bytes > /first …\nin it\n" in project.command("output", "web").out


def test_no_cache_runs_all_steps(project):
    project.build("run echo 1 > /a")
    assert project.build(options=("--no-cache",)).ran == ["run echo 1 > /a"]


def test_check_names_the_files_that_differ(project):
    done = project.build(
        "run echo same > /same", "run cat /proc/sys/kernel/random/uuid > /random", options=("--check",)
    )
    assert done.code == 1
    assert "/random: content" in done.err
    assert "/same" not in done.err
    assert project.build("run echo same > /same", options=("--check",)).code == 0


def test_independent_stages_run_at_the_same_time(project, mark):
    lines = (
        "from tar:busybox.tar as one",
        f"run sleep {mark} || echo 1 > /one",
        "from tar:busybox.tar as two",
        f"run sleep {mark} || echo 2 > /two",
        "from tar:busybox.tar",
        "copy(from=one) /one -> /one",
        "copy(from=two) /two -> /two",
    )
    project.write("web.env", *lines)
    both = sleeps(project, mark, 2, "--jobs", "2")
    assert both == ["step-started", "step-started", "step-finished", "step-finished"]
    one_at_a_time = sleeps(project, mark, 1, "--jobs", "1", "--no-cache")
    assert one_at_a_time == ["step-started", "step-finished"] * 2


def sleeps(project, mark: str, together: int, *options: str) -> list[str]:
    """Builds, and wakes the steps that sleep as soon as so many do: their beginnings and ends, in order."""
    build = project.start("build", "web.env", "--progress", "json", *options)
    woken: set[int] = set()

    def asleep() -> set[int]:
        return set(alive_with(f"sleep\0{mark}")) - woken

    while len(woken) < 2:
        assert wait_for(lambda: len(asleep()) == together), build.poll()
        for pid in asleep():
            os.kill(pid, signal.SIGTERM)
            woken.add(pid)
    out = build.communicate(timeout=300)[0].decode()
    assert build.returncode == 0, out
    events = [json.loads(line) for line in out.splitlines()]
    started = {event["step"] for event in events if event["event"] == "step-started" and "sleep" in event["text"]}
    of_steps = [event for event in events if event["event"] in ("step-started", "step-finished")]
    return [event["event"] for event in of_steps if event["step"] in started]


def test_a_stage_that_nothing_uses_is_not_built(project):
    done = project.build("from tar:busybox.tar as unused", "run false", "from tar:busybox.tar", "run true")
    assert done.code == 0
    assert done.ran == ["from tar:busybox.tar", "run true"]


def test_a_recipe_base_is_built_first_and_only_when_needed(project):
    project.write("base.env", "from tar:busybox.tar", "env FROM=base", "run echo base > /base")
    project.write("top.env", "from recipe:base.env", "run echo $FROM > /top")
    first = project.build(name="top.env")
    assert first.code == 0, first.err
    assert project.cat("/top", "top") == "base\n"
    assert project.show("base")["tags"] == ["base:latest"]
    assert project.build(name="top.env").ran == []
    project.write("base.env", "from tar:busybox.tar", "env FROM=base", "run echo base2 > /base")
    assert "run echo base2 > /base" in project.build(name="top.env").ran


def test_recipes_in_a_circle_are_named(project):
    project.write("a.env", "from recipe:b.env")
    project.write("b.env", "from recipe:a.env")
    done = project.build(name="a.env")
    assert done.code == 2
    assert "a.env -> b.env -> a.env" in done.err


def test_two_builds_at_once_run_a_step_once(project, mark):
    step = f"run sleep {mark} || cat /proc/sys/kernel/random/uuid > /id"
    project.write("web.env", "from tar:busybox.tar", step)
    first = project.start("build", "web.env", "--progress", "json")
    assert wait_for(lambda: alive_with(f"sleep\0{mark}"))
    second = project.start("build", "web.env", "--progress", "json")
    waiting = b""
    while b"another build is running" not in waiting:
        waiting += second.stdout.readline()
        assert second.poll() is None, waiting
    end_with(f"sleep\0{mark}")
    texts = [process.communicate(timeout=300)[0].decode() for process in (first, second)]
    assert [process.returncode for process in (first, second)] == [0, 0], texts
    events = [json.loads(line) for text in (waiting.decode(), *texts) for line in text.splitlines()]
    assert sum(event["event"] == "step-started" and "sleep" in event["text"] for event in events) == 1
    assert len({event["image"] for event in events if event["event"] == "build-finished"}) == 1
    assert any("another build is running" in event["message"] for event in events if event["event"] == "notice")


def test_equal_files_in_one_image_stay_separate_for_cp_and_install(project):
    done = project.build(
        "run mkdir /d; echo same > /a; echo same > /d/b",
        "run cp /a /d/b; cp /d/b /a; echo changed > /d/b; cat /a",
    )
    assert done.code == 0, done.printed
    assert done.printed == "same\n"


def test_removed_and_replaced_paths_come_out_right(project):
    done = project.build(
        "run mkdir -p /d/sub; echo 1 > /d/sub/a; echo 2 > /d/b; ln -s b /d/l",
        "run rm -r /d/sub; rm /d/b; mkdir /d/b; echo 3 > /d/b/c; rm /d/l",
        "run rm -rf /d; mkdir /d; echo new > /d/only",
        "run ls /d; cat /d/only",
    )
    assert done.code == 0, done.printed
    assert done.printed == "only\nnew\n"
    assert set(project.ls("/d")) == {"only"}


def test_a_step_that_only_removes_says_how_much(project):
    done = project.build(
        "run mkdir /d /e; for i in $(seq 20); do echo 1234 > /d/$i; done; echo 1 > /e/x",
        "run rm -r /d",
        "run rm -r /e; mkdir /e; echo 12 > /e/y",
        "run true",
    )
    removed = [(event["removed"], event["freed"]) for event in done.events if event["event"] == "step-finished"]
    assert removed[-4:] == [(0, 0), (20, 100), (1, 2), (0, 0)]


def test_times_go_on_from_the_epoch(project):
    """Not from the clock of the machine, whether that is before the epoch or behind it."""
    for epoch, first, second in (
        ("1700000060", "2023-11-14T22:14:21Z", "2023-11-14T22:14:22Z"),
        ("4102444800", "2100-01-01T00:00:01Z", "2100-01-01T00:00:02Z"),
    ):
        lines = ("run echo 1 > /a; mkdir /d", "run echo 1 > /b; touch -d '2001-01-01 00:00:00' /c")
        project.build(*lines, SOURCE_DATE_EPOCH=epoch)
        listed = project.ls("/")
        assert [listed[name]["mtime"] for name in "abc"] == [first, second, "2001-01-01T00:00:00Z"]
        assert listed["d"]["mtime"][:19] == f"{first[:17]}{int(first[17:19]) - 1:02}"
        assert project.build("run echo $SOURCE_DATE_EPOCH", SOURCE_DATE_EPOCH=epoch).printed == f"{epoch}\n"
    assert project.build(SOURCE_DATE_EPOCH="soon").code == 2


def test_a_hundred_and_thirty_steps_are_more_than_others_can(project):
    done = project.build(*[f"run echo {n} > /f{n}" for n in range(130)], "run ls / | grep -c ^f")
    assert done.code == 0, done.err
    assert done.printed.strip().endswith("130")


def test_work_is_empty_when_nothing_runs(project):
    project.build("run echo 1 > /a; mkdir -m 0 /locked", "copy web.env -> /x")
    assert os.listdir(project.store / "work") == []
