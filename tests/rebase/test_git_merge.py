"""`envbuild merge` in a merge of git: two branches of a recipe, as a user has them."""

import json
import signal

import pytest

from tests.conftest import image_in, wait_for
from tests.history.conftest import git
from tests.processes import alive_with, end_with

__all__ = ["git"]
pytestmark = pytest.mark.namespaces

SETTINGS = [f"  setting{number} = {number}" for number in range(8)]
BEGINNING = ["file /etc/app.conf", *SETTINGS, "run echo begin > /begin", "test grep -q setting0 /etc/app.conf"]
QUIET = ["file /etc/app.conf", *SETTINGS, "file /begin", "  begin"]
"""A beginning for which no sandbox is made."""
STATE_WORDS = ("same", "same but for times")


def file_of(side):
    return [f"file /{side}", f"  {side}"]


@pytest.fixture
def diverge(project, git):
    """Builds and commits left (checked out in the end) and right, which begin with the same recipe."""

    def diverge(left, right, beginning=BEGINNING):
        assert project.build(*beginning).code == 0
        git.commit("begin")
        for branch, lines in (("right", right), ("left", left)):
            git("checkout", "--quiet", "-b", branch, "main")
            done = project.build(*lines)
            assert done.code == 0, done.err
            git.commit(branch)
        return project

    return diverge


@pytest.fixture
def apart(diverge, git):
    """Two branches whose statements git merges by itself, in the middle of their merge."""
    left = [line.replace("setting0 = 0", "setting0 = left") for line in BEGINNING]
    project = diverge([*left, "run echo left > /left"], ["run echo right > /right", *BEGINNING])
    git("merge", "--quiet", "--no-commit", "right")
    return project


def merged(project, *options, code=0):
    done = project.command("merge", "--format", "json", *options)
    assert done.code == code, done.out + done.err
    (recipe,) = json.loads(done.out)["recipes"]
    return recipe


def rebuilt(project):
    """What the rebuild came to, when it is at its end."""

    def state():
        return json.loads(project.command("merge", "--status", "--format", "json").out)[0]

    def is_over():
        return not alive_with(f"merge\0--rebuild\0{project.folder}") and state()["state"] not in ("waiting", "running")

    assert wait_for(is_over)
    return state()


@pytest.mark.user
def test_the_images_are_merged_at_once_and_the_real_build_follows(apart, git):
    recipe = merged(apart)
    assert recipe["tagged"]
    assert [check["name"] for check in recipe["checks"]["checks"]] == ["test grep -q setting0 /etc/app.conf"]
    assert [apart.cat(f"/{name}", "web:merged") for name in ("left", "right")] == ["left\n", "right\n"]
    assert "setting0 = left" in apart.cat("/etc/app.conf", "web:merged")
    done = rebuilt(apart)
    assert (done["state"], done["merged"]) == ("same but for times", recipe["image"])
    # The lock and the branch's tag have what was built, and never what was put together.
    assert done["rebuilt"] == f"sha256:{image_in(apart.folder / 'web.env.lock')}" == apart.show("web")["digest"]
    assert recipe["image"].removeprefix("sha256:") not in (apart.folder / "web.env.lock").read_text()
    assert apart.build(options=("--locked",)).ran == []
    assert "    the real build gives the same, but for times" in apart.command("status").out
    git.commit("merged")
    apart.build("run true")
    assert "the real build" not in apart.command("status").out
    git("checkout", "--quiet", "web.env", "web.env.lock")
    assert apart.build().code == 0
    assert apart.command("status", "--exit-code").code == 0
    assert "merge of git:" in apart.command("log", "web:merged").out


def test_waiting_for_the_real_build(apart):
    recipe = merged(apart, "--wait")
    assert recipe["rebuild"]["state"] in STATE_WORDS
    assert merged(apart, "--no-rebuild")["rebuild"]["state"] == "waiting"
    assert apart.command("merge", "--rebuild", "web.env").code == 0


def test_without_a_change_of_files_the_images_are_the_same(diverge, git):
    project = diverge(["env A=1", *QUIET], [*QUIET, "env B=1"], QUIET)
    git("merge", "--quiet", "--no-commit", "right")
    assert merged(project, "--wait")["rebuild"]["state"] == "same"
    assert "the real build gives the same image" in project.command("merge", "--status").out


@pytest.mark.parametrize("way", ["merge", "rebase"])
def test_a_merge_that_is_done_and_a_pick_that_stopped(diverge, git, way):
    project = diverge([*QUIET, *file_of("left")], [*QUIET, *file_of("right")], QUIET)
    git.run(way, "right")
    if way == "merge":
        project.write("web.env", "from tar:busybox.tar", *QUIET, *file_of("left"), *file_of("right"))
        git.commit("both")
    recipe = merged(project, "--no-rebuild")
    assert bool(recipe["unmerged"]) == (way != "merge")
    assert {"left", "right"} <= project.ls("/", "web:merged").keys()


def test_a_recipe_with_conflicts_is_merged_as_images_and_built_when_it_is_resolved(diverge, git):
    project = diverge([*QUIET, *file_of("left")], [*QUIET, *file_of("right")], QUIET)
    (project.folder / ".gitattributes").unlink()
    git.commit("locks are merged as any text")
    assert git.run("merge", "right").returncode == 1
    done = project.command("merge")
    assert done.code == 0, done.err
    assert "web.env has conflicts" in done.out
    assert "web.env.lock was merged package by package: git add it" in done.err
    assert {"left", "right"} <= project.ls("/", "web:merged").keys()
    assert "<<<<<<<" in (project.folder / "web.env").read_text()
    lock = (project.folder / "web.env.lock").read_text()
    assert "<<<<<<<" not in lock
    project.write("web.env.lock", "resolved")
    merged(project, "--no-rebuild")
    assert (project.folder / "web.env.lock").read_text() == "resolved\n", "somebody resolved it"
    (project.folder / "web.env.lock").write_text(lock)
    project.write("web.env", "from tar:busybox.tar", *QUIET, *file_of("left"), *file_of("right"))
    git("add", "-A")
    assert merged(project, "--wait")["rebuild"]["state"] in STATE_WORDS


def test_conflicts_are_listed_and_decided(diverge, git):
    sides = [[line.replace("= 0", f"= {side}") for line in QUIET] for side in ("left", "right")]
    project = diverge(*sides, QUIET)
    git.run("merge", "right")
    recipe = merged(project, code=1)
    assert [conflict["name"] for conflict in recipe["conflicts"]] == ["/etc/app.conf"]
    assert project.command("show", "web:merged").code != 0
    assert merged(project, "--theirs", "/etc/app.conf")["tagged"]
    assert "setting0 = right" in project.cat("/etc/app.conf", "web:merged")


def test_an_image_whose_tests_fail_is_not_tagged(diverge, git):
    test = "test ! -e /left || ! test -e /right"
    beginning = [*BEGINNING, f"test {test}"]
    project = diverge([*beginning, "run echo left > /left"], ["run echo right > /right", *beginning], beginning)
    git("merge", "--quiet", "--no-commit", "right")
    done = project.command("merge")
    assert (done.code, "is not tagged" in done.out, "exit code 1" in done.out) == (1, True, True), done.out
    assert project.command("show", "web:merged").code != 0
    assert merged(project, "--no-verify", "--no-rebuild")["tagged"]


def test_a_side_that_was_not_built_here(diverge, git):
    project = diverge([*QUIET, *file_of("left")], [*QUIET, *file_of("right")], QUIET)
    git("checkout", "--quiet", "right")
    project.write("web.env", "from tar:busybox.tar", *QUIET, "file /right", "  other")
    git.commit("not built")
    git("checkout", "--quiet", "left")
    git.run("merge", "right")
    done = project.command("merge")
    assert (done.code, "its images can't be merged" in done.out) == (1, True)
    assert "theirs" in done.out
    assert "ours" not in done.out


def test_nothing_to_merge(project, git):
    done = project.command("merge")
    assert (done.code, "commit" in done.err or "revision" in done.err) == (2, True), done.err
    project.build(*QUIET)
    git.commit("begin")
    done = project.command("merge")
    assert (done.code, "no merge is in progress" in done.err) == (2, True)
    git("checkout", "--quiet", "-b", "other")
    project.write("readme", "1")
    git.commit("readme")
    git("checkout", "--quiet", "main")
    project.build("run true", *QUIET)
    git.commit("recipe")
    git("merge", "--quiet", "other", "-m", "merged")
    done = project.command("merge")
    assert (done.code, "concerns no recipe on both sides" in done.err) == (2, True)
    assert project.command("merge", "web").code == 2
    assert project.command("merge", "--rebuild", "web.env").code == 2


@pytest.fixture
def sleeping(diverge, git, mark):
    """Two branches in the middle of their merge, whose recipe has a step that sleeps on what both did."""
    project = diverge(
        [*BEGINNING, f"run [ ! -e /right ] || sleep {mark} || true; echo left > /left"],
        ["run echo right > /right", *BEGINNING],
    )
    git("merge", "--quiet", "--no-commit", "right")
    assert merged(project)["rebuild"]["state"] in ("waiting", "running")
    assert wait_for(lambda: alive_with(f"sleep\0{mark}"))
    return project


def test_a_real_build_that_was_killed_and_a_merge_that_is_given_up_meanwhile(sleeping, git, mark):
    assert "the real build is running" in sleeping.command("merge", "--status").out
    end_with(f"merge\0--rebuild\0{sleeping.folder}", signal.SIGKILL)
    assert rebuilt(sleeping)["state"] == "lost"
    assert wait_for(lambda: not alive_with(f"sleep\0{mark}"))
    merged(sleeping)
    assert wait_for(lambda: alive_with(f"sleep\0{mark}"))
    git("merge", "--abort")
    before = (sleeping.folder / "web.env.lock").read_text()
    end_with(f"sleep\0{mark}")
    assert rebuilt(sleeping)["state"] == "left"
    assert (sleeping.folder / "web.env.lock").read_text() == before
    assert git("status", "--porcelain") == ""


def test_a_directory_of_the_repository_is_not_taken_for_envbuild(apart, tmp_path):
    for name in ("__init__.py", "__main__.py"):
        apart.write(f"envbuild/{name}", f"open({str(tmp_path / 'run')!r}, 'w')")
    assert merged(apart, "--wait")["rebuild"]["state"] in STATE_WORDS
    assert not (tmp_path / "run").exists()
