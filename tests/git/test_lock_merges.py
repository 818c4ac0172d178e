"""Branches whose locks git brings together, in each way that it has: what comes of it needs no further commit."""

import os

import pytest

from tests.history.conftest import new_repository

pytestmark = pytest.mark.namespaces

STEPS = ["file /one\n    one", "env SEPARATE=1", "copy src -> /app", "workdir /app", "file /two\n    two"]


def with_branches(project) -> None:
    """Makes left and right, each with another statement edited and built; left is checked out."""
    git = new_repository(project)
    project.write("src/x", "1")
    project.build(*STEPS)
    git.commit("begin")
    for branch, old, new in (("right", " two", " zwei"), ("left", " one", " eins")):
        git("checkout", "--quiet", "-b", branch, "main")
        done = project.build(*(line.replace(old, new) for line in STEPS))
        assert done.code == 0, done.err
        git.commit(branch)


@pytest.fixture
def branches(project, again):
    again(with_branches)
    return project


def is_green(project, git) -> None:
    """What is checked out builds with --locked, changes nothing, and is what the commit means."""
    done = project.build(options=("--locked",))
    assert done.code == 0, done.err
    assert git("status", "--porcelain") == ""
    assert project.command("git", "check", "main..HEAD").code == 0
    assert [project.cat(path, "web@HEAD") for path in ("/one", "/two")] == ["eins\n", "zwei\n"]
    assert project.show("web@HEAD")["digest"] == f"sha256:{done.image}"


def test_the_first_lock_in_a_repository_tells_git_how_locks_merge(project, git):
    done = project.build("run true")
    assert (project.folder / ".gitattributes").read_text() == "*.env.lock merge=union\n"
    assert "tells git how to merge locks" in done.out
    (project.folder / ".gitattributes").unlink()
    assert project.build("run echo > /x").code == 0
    assert not (project.folder / ".gitattributes").exists()


@pytest.mark.parametrize("way", ["merge", "rebase", "cherry-pick"])
def test_as_lines_of_both_sides(branches, git, way):
    git(way, "--quiet", "right") if way != "cherry-pick" else git(way, "right")
    is_green(branches, git)


@pytest.mark.parametrize("way", ["merge", "rebase", "cherry-pick"])
def test_with_the_driver(branches, git, way):
    assert branches.command("git", "install").code == 0
    git(way, "--quiet", "right") if way != "cherry-pick" else git(way, "right")
    is_green(branches, git)


def test_edits_of_the_application_meet_without_any_setting(project, git):
    project.write("src/x", "1")
    project.write("src/y", "1")
    project.build(*STEPS)
    (project.folder / ".gitattributes").write_text("")
    git.commit("begin")
    git("checkout", "--quiet", "-b", "left")
    project.write("src/x", "2")
    git.commit("x")
    git("checkout", "--quiet", "main")
    project.write("src/y", "2")
    assert project.build().code == 0
    git.commit("y, built")
    git("merge", "--quiet", "left", "-m", "merged")
    done = project.build(options=("--locked",))
    assert (done.code, git("status", "--porcelain")) == (0, ""), done.err
    assert [project.cat(f"/app/{name}", "web@HEAD") for name in "xy"] == ["2\n", "2\n"]


def test_each_commit_of_a_rebase_means_its_own_image(branches, git):
    git("rebase", "--quiet", "right")
    assert [branches.cat(path, "web@HEAD~1") for path in ("/one", "/two")] == ["one\n", "zwei\n"]
    # The lock names the images of both branches; what the commit gives is neither, and was not built yet.
    unknown = branches.command("show", "web@HEAD")
    assert (unknown.code, "which image that is, is not known until a build" in unknown.err) == (2, True), unknown.err
    is_green(branches, git)
    compared = branches.command("diff", "web@HEAD~1", "web@HEAD")
    assert (compared.code, "/one" in compared.out, "/two" in compared.out) == (1, True, False)


def test_a_commit_whose_lock_is_of_another_state_is_not_taken_for_that_one(branches, git):
    branches.write("src/x", "2")
    git.commit("the application alone")
    assert branches.command("show", "web@HEAD").code == 2
    compared = branches.command("diff", "git:HEAD~1:web.env", "git:HEAD:web.env")
    assert (compared.code, "the same image\n" in compared.out) == (3, False)
    assert branches.build(options=("--locked",)).code == 0
    assert branches.cat("/app/x", "web@HEAD") == "2\n"
    assert branches.cat("/app/x", "web@HEAD~1") == "1\n"


class TestFilledIn:
    """After a merge a hook writes the results that this store has."""

    @pytest.fixture
    def built(self, branches, git):
        """A store that has what both branches come to together, and a clone that is set up."""
        lock = branches.folder / "web.env.lock"
        before = lock.read_text()
        branches.build(*(line.replace(" one", " eins").replace(" two", " zwei") for line in STEPS))
        git("checkout", "--quiet", "--", ".")
        assert lock.read_text() == before
        assert branches.command("git", "install").code == 0
        return branches

    @pytest.mark.parametrize("way", ["merge", "rebase"])
    def test_where_the_store_knows_all(self, built, git, way):
        done = git.run(way, "right")
        assert done.returncode == 0, done.stderr
        assert "web.env.lock has the results of the merge: commit it" in done.stderr + done.stdout
        assert git("status", "--porcelain") == " M web.env.lock\n"
        assert built.build(options=("--locked=exact",)).code == 0
        assert built.command("status", "--exit-code").code == 0

    def test_a_lock_that_lacks_nothing_is_not_touched(self, built, git):
        git("merge", "--quiet", "right", "-m", "merged")
        git.commit("results")
        git("checkout", "--quiet", "-b", "stale")
        with open(built.folder / "web.env.lock", "a") as lock:
            lock.write(f"  - amd64 step {'1' * 64} {'2' * 64}\n")
        git.commit("a line that nobody asks for")
        git("checkout", "--quiet", "-")
        done = git.run("merge", "--no-ff", "stale", "-m", "merged again")
        assert (done.returncode, git("status", "--porcelain")) == (0, ""), done.stderr
        assert "1" * 64 in (built.folder / "web.env.lock").read_text()

    def test_not_where_a_step_was_not_run(self, branches, git):
        assert branches.command("git", "install").code == 0
        done = git.run("merge", "right", "-m", "merged")
        assert (done.returncode, git("status", "--porcelain")) == (0, ""), done.stderr

    def test_hooks_of_somebody_else_stay_and_ours_go(self, branches, git):
        hooks = branches.folder / ".git/hooks"
        (hooks / "post-merge").write_text("#!/bin/sh\ntrue\n")
        assert branches.command("git", "install").code == 0
        assert (hooks / "post-merge").read_text() == "#!/bin/sh\ntrue\n"
        assert os.access(hooks / "post-rewrite", os.X_OK)
        assert branches.command("git", "install", "--remove").code == 0
        assert (hooks / "post-merge").exists()
        assert not (hooks / "post-rewrite").exists()
