"""The first bad commit, and what of its image it is."""

from __future__ import annotations

import json

import pytest

from tests.conftest import Project
from tests.history.conftest import Git

pytestmark = pytest.mark.namespaces
COMMITS, BROKEN, BAD = 9, 4, 6


@pytest.fixture
def history(project: Project) -> tuple[Project, list[str]]:
    """Nine commits of a recipe, of which none was built: the fifth can't be, and from the seventh on it is bad."""
    git = Git(project)
    git("init", "--quiet", "--initial-branch=main")
    project.write(".gitignore", "base/", "*.lock")
    (project.folder / "busybox.tar").unlink()
    (project.folder / "base" / "busybox.tar").rename(project.folder / "busybox.tar")
    commits = []
    for number in range(COMMITS):
        lines = [
            "from tar:busybox.tar",
            f"run echo {'bad' if number >= BAD else 'good'} > /a",
            f"run echo {number} > /b",
        ]
        project.write("web.env", *lines, *(["run false"] if number == BROKEN else []))
        commits.append(git.commit(f"commit {number}"))
    return project, commits


def test_the_first_bad_commit_is_found_and_its_difference(history):
    project, commits = history
    words = ("bisect", "--commits", "HEAD~8..HEAD", "--format", "json", "web", "--", "grep", "-q", "good", "/a")
    done = project.command(*words)
    assert done.code == 0, done.err
    report = json.loads(done.out)
    assert report["commit"]["commit"] == commits[BAD]
    assert (report["commit"]["summary"], report["good_commit"]) == (f"commit {BAD}", commits[BAD - 1])
    assert [difference["name"] for difference in report["differences"]] == ["/a"]
    assert report["commits"]["tried"] <= 6
    assert commits[BROKEN][:12] in done.err
    # Nothing was tagged but what the answer is, and nothing was written beside the recipe.
    assert project.command("log", "web").code != 0
    assert not (project.folder / "web.env.lock").exists()
    again = project.command(*words)
    assert json.loads(again.out)["runs"] == 0
    shown = project.command("bisect", "--commits", "HEAD~8..", "--", "grep", "-q", "good", "/a").out
    assert f"{commits[BAD][:12]} is the first bad commit" in shown


@pytest.mark.user
def test_commits_that_cannot_be_tried_are_said(history):
    project, commits = history
    test = f"read n < /b; case $n in {BAD - 1}|{BAD}) exit 125 ;; esac; grep -q good /a"
    done = project.command(
        "bisect", "--commits", f"{commits[0]}..{commits[-1]}", "--format", "json", "web.env", "--", "sh", "-c", test
    )
    assert done.code == 0, done.err
    report = json.loads(done.out)
    assert report["commit"]["commit"] == commits[BAD + 1]
    assert report["skipped"] == [commits[BROKEN], commits[BAD - 1], commits[BAD]]


@pytest.mark.parametrize("commits", ["HEAD", "HEAD..HEAD~2", "..HEAD", "HEAD~2...HEAD", "HEAD..HEAD", "nothing..HEAD"])
def test_what_is_no_range_of_commits_is_refused(history, commits: str):
    project, _ = history
    done = project.command("bisect", "--commits", commits, "web.env", "--", "true")
    assert done.code == 2, done.err


@pytest.mark.parametrize(("test", "end", "reason"), [("true", -1, "to be bad"), ("false", -3, "to be good")])
def test_a_test_that_does_not_tell_the_ends_apart_is_said_of_the_right_one(history, test: str, end: int, reason: str):
    project, commits = history
    done = project.command("bisect", "--commits", "HEAD~2..HEAD", "web.env", "--", test)
    assert (done.code, f"{commits[end][:12]} is {reason}" in done.err) == (1, True), done.err
