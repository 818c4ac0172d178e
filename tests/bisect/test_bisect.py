"""Bisecting small images: what differs, what is tried, what is found."""

from __future__ import annotations

import json
import signal

import pytest

from tests.conftest import wait_for
from tests.processes import alive_with

pytestmark = pytest.mark.namespaces


@pytest.fixture
def pair(project):
    """Two images, web:good and web:bad, which differ in twenty files, a configuration file and a variable."""
    numbers = [f"{n}\n" for n in range(1, 41)]
    for side in ("good", "bad"):
        for n in range(20):
            project.write(f"{side}/f{n}", f"{side} {n}")
        lines = [*numbers]
        if side == "bad":
            lines[2], lines[19], lines[34] = "three\n", "wrong\n", "more\n"
        project.write(f"{side}/conf", "".join(lines))
        project.build(
            "from tar:busybox.tar", f"copy {side} -> /srv", f"env MODE={side}", options=("--tag", f"web:{side}")
        )
    return project


def bisect(project, test, *options):
    done = project.command("bisect", "web:good", "web:bad", "--format", "json", *options, "--", "sh", "-c", test)
    assert done.code == 0, done.err
    return json.loads(done.out)


@pytest.mark.user
def test_the_lines_that_break_it_are_found_and_tagged(pair):
    done = pair.command("bisect", "web:good", "web:bad", "-j1", "--", "sh", "-c", "! grep wrong /srv/conf")
    assert done.code == 0, done.err
    first, *lines = done.out.splitlines()
    assert first.startswith("/srv/conf (changed, time) breaks it (1 of 22 differences tried, ")
    assert lines[:3] == ["  /srv/conf:20:", "  - 20", "  + wrong"]
    assert "the test says there:\n  wrong" in done.out
    assert pair.command("run", "bisect:bad", "--", "grep", "-c", "wrong", "/srv/conf").code == 0
    assert pair.command("diff", "bisect:good", "bisect:bad", "--text").out.count("+wrong") == 1
    assert pair.cat("/srv/conf", "bisect:bad").splitlines()[34] == "35"


def test_nothing_is_run_twice(pair):
    test = "! grep wrong /srv/conf"
    runs = bisect(pair, test)["runs"]
    again = bisect(pair, test)
    assert (again["runs"], again["remembered"]) == (0, runs)
    assert bisect(pair, f"{test} # another test")["runs"] > 0


def test_what_breaks_it_only_together_is_found_together(pair):
    answer = bisect(pair, '[ "$MODE" = good ] || ! grep bad /srv/f7')
    assert [difference["name"] for difference in answer["differences"]] == ["/srv/f7", "the variable MODE"]
    assert answer["parts"][0] == {"fact": "env.MODE", "old": "good", "new": "bad"}


def test_another_failure_is_not_taken_for_this_one(pair):
    # f3 without f9 fails in a way of its own.
    test = "grep -q bad /srv/f3 && grep -q good /srv/f9 && exit 3; ! grep -q bad /srv/f12 || exit 5"
    answer = bisect(pair, test)
    assert [difference["name"] for difference in answer["differences"]] == ["/srv/f12"]
    assert answer["failure"]["exit"] == 5
    other = pair.command("bisect", "web:good", "web:bad", "--expect-exit", "3", "--", "sh", "-c", test)
    assert (other.code, "the test does not show it there: exit code 5" in other.err) == (1, True)
    said = bisect(pair, "grep bad /srv/f4 && echo it is broken; exit 0", "--expect", "it is broken")
    assert [difference["name"] for difference in said["differences"]] == ["/srv/f4"]


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("sh", "-c", "exit 4"), "web:good is to be good, and the test does not succeed there: exit code 4"),
        (("true",), "web:bad is to be bad, and the test does not show it there: exit code 0"),
        (("nothing",), "it could not be started: there is no program 'nothing' in the tree"),
    ],
)
def test_both_ends_are_checked_first(pair, words, message):
    done = pair.command("bisect", "web:good", "web:bad", "--", *words)
    assert (done.code, message in done.err) == (1, True), done.err


def test_a_time_limit_can_be_the_failure(pair):
    answer = bisect(pair, "! grep -q bad /srv/f2 || sleep 60", "--timeout", "0.5")
    assert [difference["name"] for difference in answer["differences"]] == ["/srv/f2"]
    assert answer["failure"]["timed_out"]


@pytest.mark.user
def test_an_interrupted_search_leaves_nothing_running(pair, mark):
    words = ("bisect", "web:good", "web:bad", "-j2", "--", "sh", "-c", f"! grep -q wrong /srv/conf || sleep {mark}")
    search = pair.start(*words)
    assert wait_for(lambda: alive_with(f"sleep\0{mark}"))
    search.send_signal(signal.SIGINT)
    output, _ = search.communicate(timeout=300)
    assert search.returncode == 130, output
    assert not alive_with(mark)
    assert list((pair.store / "work").iterdir()) == []
    assert b"Traceback" not in output


def test_a_flaky_test_is_noticed_and_the_answer_found(pair):
    # It fails once in three runs, where the file is bad.
    test = "case $(cat /proc/sys/kernel/random/uuid) in [0-4]*) ! grep bad /srv/f13 ;; esac"
    answer = bisect(pair, test, "--repeat", "20")
    assert [difference["name"] for difference in answer["differences"]] == ["/srv/f13"]
    assert answer["flaky"]["good"]["failures"] == 0 < answer["flaky"]["bad"]["failures"]
    done = pair.command("bisect", "web:good", "web:bad", "--", "sh", "-c", test)
    assert "the test is flaky: it failed in " in done.out


def test_what_one_step_brought_is_one_difference_if_it_is_much(project):
    for side in ("good", "bad"):
        for n in range(210):
            project.write(f"{side}/f{n}", f"{side} {n}")
        lines = ("from tar:busybox.tar", f"copy {side} -> /srv", f"file /etc/{side}", f"    {side}")
        assert project.build(*lines, options=("--tag", f"web:{side}")).code == 0
    answer = bisect(project, "! grep bad /srv/f99")
    assert answer["total"] == 3
    assert [(group["kind"], group["name"]) for group in answer["differences"]] == [
        ("step", "copy bad -> /srv (web.env:2)")
    ]
    assert {part["path"] for part in answer["parts"]} == {"/srv/f99"}


def test_images_without_a_difference_are_refused(pair):
    done = pair.command("bisect", "web:bad", "web:bad", "--", "false")
    assert (done.code, "do not differ" in done.err) == (2, True)
