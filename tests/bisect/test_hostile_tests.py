"""What a test does stays in its candidate, and what others named or printed stays text."""

from __future__ import annotations

import json
import os

import pytest

from tests.conftest import Project
from tests.processes import alive_with

pytestmark = pytest.mark.namespaces
NAMES = (b"-rf", b"a\nb", b"\xff\xfe", b"\x1b]0;owned\x07", b"<b>", "\u202eabc".encode())


@pytest.fixture
def moved(project: Project) -> Project:
    """Two environments that differ in files with names that somebody chose with care."""
    for text in ("good", "bad"):
        folder = os.fsencode(project.folder / "root")
        os.makedirs(folder, exist_ok=True)
        for name in NAMES:
            with open(folder + b"/" + name, "w", encoding="utf-8") as file:
                file.write(text)
        assert project.build("copy root/ -> /srv/", "run echo 1 > /kept").code == 0
    return project


def bisect(project: Project, script: str, *options: str) -> dict:
    words = ("bisect", "web@{1}", "web", *options, "--format", "json", "--", "sh", "-c", script)
    done = project.command(*words, timeout=200)
    assert done.code == 0, done.err
    return json.loads(done.out)


@pytest.mark.user
def test_a_test_that_destroys_all_that_it_sees_destroys_its_own_candidate(moved: Project, mark):
    script = (
        "trap '' TERM INT HUP; w=$(cat /srv/-rf); "
        f"for n in 1 2 3; do setsid sleep {mark} & done; (trap '' TERM; sleep {mark}) & "
        "echo lost > /kept; mknod /srv/pipe p; chmod -R 000 /etc; busybox rm -rf /srv /etc /var; "
        'echo "root::0:0::/:/bin/sh" > /bin/x; test $w = good'
    )
    report = bisect(moved, script)
    assert [difference["name"] for difference in report["differences"]] == ["/srv/-rf"]
    assert not alive_with(mark)
    for image in ("web", "web@{1}", "bisect:bad", "bisect:good"):
        assert moved.command("run", image, "--", "cat", "/kept").out == "1\n"
    assert moved.command("fsck").code == 0


def test_a_test_that_prints_without_end_is_ended_and_takes_no_memory(moved: Project):
    script = 'test "$(cat /srv/-rf)" = good || exec yes "$(printf "\\033[2Jx")"'
    report = bisect(moved, script, "--timeout", "0.5")
    assert report["failure"]["timed_out"]
    assert [difference["name"] for difference in report["differences"]] == ["/srv/-rf"]
    assert len(report["output"]) <= 4096


@pytest.mark.parametrize("name", NAMES, ids=repr)
def test_names_of_files_are_shown_and_do_nothing(moved: Project, name: bytes):
    shown = "".join(f"\\{byte:03o}" for byte in b"/srv/" + name)
    script = f'printf "\\033]0;x\\007\\n\\377"; f="$(printf "{shown}x")"; read w < "${{f%x}}"; test "$w" != bad'
    done = moved.command("bisect", "web@{1}", "web", "--html", "page.html", "--", "sh", "-c", script)
    assert done.code == 0, done.err
    assert " breaks it " in done.out.splitlines()[0]
    assert all(line.isprintable() for line in done.out.splitlines()), done.out
    page = (moved.folder / "page.html").read_text()
    assert "<b>" not in page
    assert all(line.isprintable() or "\u2192" in line for line in page.splitlines())
