"""What is unknown is not the same: merged locks, whose image nobody knows before a build, and stores without images."""

from __future__ import annotations

import json

import pytest

from envbuild.lockfile import lock_file
from envbuild.lockfile.lock import LockedInstall, Package
from tests.history.conftest import new_repository

pytestmark = pytest.mark.namespaces


def added(name: str) -> Package:
    return Package(name, "1.0", f"sha256:{'a' * 64}", f"pool/{name}.deb")


def with_merge(project) -> None:
    """Makes main an automatic merge of two branches: the lock has an image of each, and so no known one."""
    git = new_repository(project)
    project.write(".gitattributes", "*.env.lock merge=union")
    project.build("file /one\n    one", "run true", "run true", "file /two\n    two")
    git.commit("begin")
    git("checkout", "--quiet", "-b", "left")
    project.build("file /one\n    eins", "run true", "run true", "file /two\n    two")
    git.commit("left")
    git("checkout", "--quiet", "main")
    project.build("file /one\n    one", "run true", "run true", "file /two\n    zwei")
    git.commit("right")
    git("merge", "--quiet", "left", "-m", "merged")
    assert lock_file.parse((project.folder / "web.env.lock").read_text(), "web.env.lock").image == ""


@pytest.fixture
def merged(project, again):
    again(with_merge)
    return project


@pytest.fixture
def elsewhere(merged, tmp_path):
    """A command in a store that has no image."""

    def command(*words: str):
        return merged.command(*words, ENVBUILD_STORE=str(tmp_path / "elsewhere"))

    return command


def with_packages(project, *names: str) -> None:
    """Writes the lock with packages that a statement installs, as the merge of a branch with these leaves it."""
    path = project.folder / "web.env.lock"
    lock = lock_file.parse(path.read_text(), "web.env.lock")
    install = LockedInstall("apt", ("jq",), "b" * 64, tuple(map(added, names)))
    own = lock.own.replace(stages=(lock.stages[0].replace(installs=(install,)),))
    path.write_text(lock_file.dump(lock.replace(own=own)))


def test_two_merged_locks_that_say_the_same_are_not_the_same_image(merged, elsewhere):
    for command in (merged.command, elsewhere):
        done = command("diff", "git:HEAD:web.env", "web.env.lock")
        assert done.code == 3, done.out + done.err
        assert "the same image\n" not in done.out
        assert "its image is not known until a build" in done.out
        assert "whether it is the same image can't be told" in done.out


def test_what_the_locks_say_is_compared(merged, elsewhere):
    with_packages(merged, "a", "b")
    done = elsewhere("diff", "git:HEAD:web.env", "web.env.lock", "--format", "json")
    report = json.loads(done.out)
    assert (done.code, report["same"], report["unknown"]) == (1, False, False)
    assert [package["name"] for package in report["packages"]] == ["a", "b"]
    again = elsewhere("diff", "web.env.lock", "web.env.lock")
    assert (again.code, "can't be told" in again.out) == (3, True)


def test_a_known_image_is_not_that_of_a_merge(merged, elsewhere):
    done = elsewhere("diff", "git:left:web.env", "git:HEAD:web.env", "--format", "json")
    assert (done.code, json.loads(done.out)["same"]) == (1, False)
    known = elsewhere("diff", "git:left:web.env", "git:left:web.env")
    assert (known.code, "the same image" in known.out) == (0, True)


def test_locks_that_name_one_image_and_other_packages_are_not_the_same(merged, elsewhere):
    merged.build()
    (merged.folder / "copy.env.lock").write_text((merged.folder / "web.env.lock").read_text())
    with_packages(merged, "a")
    done = elsewhere("diff", "copy.env.lock", "web.env.lock")
    assert (done.code, "the same image" in done.out) == (1, False)


def test_paths_that_nobody_can_list_are_an_error(merged, elsewhere):
    done = elsewhere("diff", "git:left:web.env", "git:HEAD:web.env", "--files")
    assert (done.code, "only its lock is known" in done.err, done.out) == (2, True, "")


def test_comments_and_pages_say_it_too(merged, elsewhere):
    for form in ("markdown", "html"):
        done = elsewhere("diff", "git:HEAD:web.env", "web.env.lock", "--format", form)
        assert (done.code, "The same image" in done.out) == (3, False)
        assert "not known until a build" in done.out


def test_a_check_of_an_automatic_merge(merged, git, elsewhere):
    with_packages(merged, *"abcdefghi")
    git.commit("nine packages")
    done = elsewhere("git", "check", "HEAD~1..HEAD")
    assert done.code == 1
    assert "The same image" not in done.out
    assert "**9 packages**: 9 added" in done.out
    assert "is no longer in the recipe" in done.out


def test_the_status_of_a_merged_lock(merged, elsewhere):
    (status,) = json.loads(elsewhere("status", "--format", "json").out)
    assert (status["lock"], status["image"]) == ("incomplete", None)
    shown = elsewhere("status").out
    assert "its image is not known until a build" in shown
    assert "names another image" not in shown
    assert merged.build().code == 0
    assert merged.command("status", "--exit-code").code == 0


class TestWithoutALock:
    @pytest.fixture
    def installed(self, project, git):
        project.build("run true")
        git.commit("begin")
        assert project.command("git", "install").code == 0
        return project

    def refused(self, project, git) -> str:
        git("add", "-A")
        done = project.command("git", "pre-commit")
        assert done.code == 1, done.err
        git("commit", "--quiet", "--no-verify", "-m", "new")
        check = project.command("git", "check", "HEAD~1..HEAD")
        assert check.code == 1
        return done.err + check.out

    def test_a_new_recipe_is_refused(self, installed, git):
        installed.write("services/db.env", "from scratch", "file /a", "    a")
        said = self.refused(installed, git)
        assert "services/db.env.lock is missing in this commit" in said
        assert "The lock of `services/db.env` is missing." in said
        assert installed.command("build", "services/db.env").code == 0
        git.commit("with its lock")
        assert installed.command("git", "check", "HEAD~2..HEAD").code == 0

    def test_so_is_one_whose_lock_is_removed_and_one_with_a_mistake(self, installed, git):
        git("rm", "--quiet", "web.env.lock")
        assert "web.env.lock is missing" in self.refused(installed, git)
        installed.write("bad.env", "from scratch", "oops")
        assert "bad.env.lock is unreadable" in self.refused(installed, git)

    def test_one_that_is_all_includes_is_refused_and_what_it_includes_is_not(self, installed, git):
        installed.write("parts/base.env", "from scratch", "file /a", "    a")
        installed.write("parts/more.env", "file /b", "    b")
        installed.write("all.env", "include parts/base.env", "include parts/more.env")
        said = self.refused(installed, git)
        assert "all.env.lock is missing" in said
        assert "parts/" not in said

    def test_variables_of_other_tools_are_not(self, installed, git):
        installed.write(".env", "FROM=me", "from=me")
        installed.write("config/app.env", "URL=http://x", "export A=1")
        git.commit("variables")
        assert installed.command("git", "check", "HEAD~1..HEAD").code == 0
