"""`why`: the newest commit that touched what made a path, in a team of three; and what removed one that is gone."""

from __future__ import annotations

import json
import os

import pytest

from tests.history.conftest import new_repository

pytestmark = pytest.mark.namespaces

RECIPE = (
    "include parts/settings.env colour=blue",
    "from tar:busybox.tar",
    "copy app -> /app",
    "file /etc/motd",
    "    hello",
    "    one",
    "    two",
    "render hi.tmpl -> /hi",
    "run echo ${colour} $flavour > /all",
    "run",
    "    echo 1 > /first",
    "    echo 2 > /second",
)


class Team:
    """People who commit to one repository, each a minute after the one before."""

    def __init__(self, project, git) -> None:
        self.project = project
        self.git = git
        self.now = 1_700_000_000

    def commits(self, name: str, message: str = "change") -> str:
        self.now += 60
        for role in ("AUTHOR", "COMMITTER"):
            self.git.environment |= {f"GIT_{role}_NAME": name, f"GIT_{role}_DATE": f"{self.now} +0000"}
        return self.git.commit(message)

    def builds(self, *lines: str, options: tuple[str, ...] = ()) -> str:
        done = self.project.build(*lines, options=options)
        assert done.code == 0, done.err
        return done.image

    def why(self, path: str, image: str = "web") -> dict:
        done = self.project.command("why", image, path, "--format", "json")
        assert done.code == 0, done.err
        text = self.project.command("why", image, path)
        assert text.code == 0
        return {**json.loads(done.out), "text": text.out}

    def author(self, path: str) -> str | None:
        author = self.why(path)["author"]
        return author["name"] if author is not None else None


def edited(old: str, new: str) -> tuple[str, ...]:
    return tuple(line.replace(old, new) for line in RECIPE)


def with_team(project) -> None:
    """Makes a recipe with a bit of all, built and committed by Ada."""
    for name, text in (
        ("app/main.py", "1"),
        ("app/lib/util.py", "2"),
        ("app/lib/copy.py", "2"),
        ("hi.tmpl", "{{ flavour }}"),
    ):
        project.write(name, text)
    project.write("parts/settings.env", "param flavour=sweet", "param colour=red")
    developers = Team(project, new_repository(project))
    developers.builds(*RECIPE)
    developers.commits("Ada", "begin")


@pytest.fixture
def team(project, git, again):
    again(with_team)
    developers = Team(project, git)
    developers.now += 60  # Ada's commit
    return developers


def test_any_line_of_a_block(team):
    team.builds(*edited("two", "TWO"))
    team.commits("Bob", "the third line")
    answer = team.why("/etc/motd")
    assert (answer["author"]["name"], answer["credit"]["what"]) == ("Bob", "the statement")
    team.builds(*(line.replace("two", "TWO").replace("echo 2", "echo zwei") for line in RECIPE))
    team.commits("Cem")
    assert (team.author("/etc/motd"), team.author("/second"), team.author("/all")) == ("Bob", "Cem", "Ada")


def test_the_copied_file_has_a_history_of_its_own(team):
    team.project.write("app/lib/util.py", "3")
    team.builds()
    team.commits("Bob", "util")
    answer = team.why("/app/lib/util.py")
    assert (answer["author"]["name"], answer["credit"]["what"]) == ("Bob", "the file app/lib/util.py")
    assert "(the file app/lib/util.py)" in answer["text"]
    assert (team.author("/app/main.py"), team.author("/app/lib/copy.py")) == ("Ada", "Ada")
    # The statement is newer than the file.
    team.builds(*edited("copy app -> /app", "copy(owner=root) app -> /app"))
    team.commits("Cem")
    assert team.author("/app/lib/util.py") == "Cem"


def test_a_template_and_the_value_of_a_parameter(team):
    team.project.write("hi.tmpl", "hi {{ flavour }}")
    team.builds()
    team.commits("Bob", "template")
    assert (team.author("/hi"), team.author("/all")) == ("Bob", "Ada")
    team.project.write("parts/settings.env", "param flavour=sour", "param colour=red")
    team.builds()
    team.commits("Cem", "sour")
    for path in ("/hi", "/all"):
        answer = team.why(path)
        assert (answer["author"]["name"], answer["credit"]["what"]) == ("Cem", "the parameter flavour")
    team.builds(*edited("colour=blue", "colour=green"))
    team.commits("Dan", "green, in the include")
    assert (team.author("/all"), team.author("/hi")) == ("Dan", "Cem")
    team.builds(*edited("colour=blue", "colour=green"), options=("--set", "flavour=bitter"))
    answer = team.why("/all")
    assert (answer["author"], answer["credit"]["set"]) == (None, True)
    assert "set on the command line" in answer["text"]


def test_what_is_in_no_commit_is_said(team):
    team.project.write("app/main.py", "uncommitted")
    team.builds(*edited("two", "uncommitted"))
    for path in ("/app/main.py", "/etc/motd"):
        answer = team.why(path)
        assert (answer["author"], answer["credit"]["uncommitted"]) == (None, True)
        assert "in no commit" in answer["text"]
    assert team.author("/app/lib/util.py") == "Ada"
    team.commits("Bob", "now it is")
    assert (team.author("/app/main.py"), team.author("/etc/motd")) == ("Bob", "Bob")


def test_a_shallow_clone_blames_nobody_for_what_is_older(team, tmp_path):
    team.builds(*edited("two", "TWO"))
    team.commits("Bob")
    folder = team.project.folder
    team.git("clone", "--quiet", "--depth", "1", f"file://{folder}", str(tmp_path / "clone"))
    os.rename(folder, tmp_path / "away")
    team.project.folder = tmp_path / "clone"
    team.git.environment["HOME"] = str(tmp_path)
    team.builds()
    answer = team.why("/first")
    assert (answer["author"], answer["credit"]["shallow"]) == (None, True)
    assert "git fetch --unshallow" in answer["text"]
    team.builds(*(line.replace("two", "TWO").replace("echo 1", "echo eins") for line in RECIPE))
    team.commits("Cem")
    assert (team.author("/first"), team.author("/all")) == ("Cem", None)


def test_a_step_that_removed_it(team):
    team.builds(*RECIPE, "run rm -r /app/lib")
    team.commits("Bob", "no lib")
    for path in ("/app/lib/util.py", "/app/lib"):
        answer = team.why(path)
        assert (answer["exists"], [touch["verb"] for touch in answer["touches"]]) == (False, ["made", "removed"])
        assert answer["author"]["name"] == "Bob"
        assert f"{path} is not in web" in answer["text"]
    # What an earlier move of the name had is known there.
    assert team.why("/app/lib/util.py", "web@{1}")["exists"]
    assert team.project.command("why", "web", "/never").code == 2


def test_a_commit_that_removed_it(team):
    (team.project.folder / "app/lib/copy.py").unlink()
    team.builds()
    removed = team.commits("Bob", "no copy")
    answer = team.why("/app/lib/copy.py")
    assert (answer["exists"], answer["touches"]) == (False, [])
    assert [touch["text"] for touch in answer["removal"]["touches"]] == ["copy app -> /app"]
    assert answer["removal"]["author"]["commit"] == removed
    assert "removed   with project/web:branch/main@{0}" in answer["text"]
    team.builds(*RECIPE[:-3])
    removed = team.commits("Cem", "no statement")
    team.project.write("app/main.py", "later")
    team.builds()
    team.commits("Dan", "later")
    answer = team.why("/second")
    assert (answer["removal"]["back"], answer["removal"]["author"]["commit"]) == (1, removed)
