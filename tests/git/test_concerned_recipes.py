"""Which recipes a change concerns: the same for `git check`, the hook before a commit and `status`."""

import json
import os
import shutil

import pytest

from tests.history.conftest import new_repository

pytestmark = pytest.mark.namespaces


def with_recipes(project) -> None:
    """Makes a recipe that starts from another one, includes a third, and takes files of both folders; all committed."""
    git = new_repository(project)
    shutil.rmtree(project.folder / "base")
    (project.folder / "busybox.tar").unlink()
    project.write("shared/common.env", "copy conf -> /conf")
    project.write("shared/conf", "1")
    project.write("low/low.env", "from scratch", "copy data -> /data")
    project.write("low/data", "1")
    project.write(
        "services/web.env",
        "from recipe:../low/low.env",
        "param page=index.html",
        "include ../shared/common.env",
        "copy ${page} -> /page",
        "copy lists/*.txt -> /lists/",
        "render greeting.in -> /greeting",
    )
    project.write("services/index.html", "1")
    project.write("services/lists/a.txt", "1")
    project.write("services/lists/a.tmp", "1")
    project.write("services/greeting.in", "hello")
    project.write("services/notes", "1")
    project.write("config/prod.env", "URL=http://x")
    assert project.command("build", "services/web.env").code == 0
    git.commit("begin")
    assert project.command("git", "install").code == 0


@pytest.fixture
def repository(project, again):
    again(with_recipes)
    return project


def refused(git) -> list[str]:
    """Commits all that changed; the recipes of which the hook says that their locks are not right or not whole."""
    git("add", "-A")
    done = git.project.command("git", "pre-commit")
    named = {word: [] for word in ("error:", "note:")}
    for line in done.err.splitlines():
        if line.split()[0] in named:
            named[line.split()[0]].append(line.split()[1].removesuffix(".lock"))
    assert done.code == bool(named["error:"]), done.err
    git("commit", "--quiet", "--allow-empty", "--no-verify", "-m", "changed")
    return sorted(named["error:"] + named["note:"])


def build(repository, git, recipe: str) -> None:
    """Builds a recipe and commits its lock."""
    assert repository.command("build", recipe).code == 0
    git("add", "-A")
    git("commit", "--quiet", "--no-verify", "-m", "built")


def checked(project, revisions: str = "HEAD~1..HEAD") -> dict[str, str]:
    done = project.command("git", "check", revisions, "--format", "json")
    states = json.loads(done.out)
    assert done.code == any(recipe["outdated"] for recipe in states), done.err
    return {recipe["recipe"]: recipe["state"] for recipe in states}


def status(project, folder: str = ".") -> dict[str, str]:
    inner = type(project)(project.folder / folder, project.store)
    done = inner.command("status", "--format", "json")
    return {recipe["recipe"]: recipe["lock"] for recipe in json.loads(done.out)}


def test_what_a_recipe_or_its_include_takes_concerns_it_for_all_three(repository, git):
    for path, text in (
        ("shared/conf", "conf"),
        ("shared/common.env", "copy conf -> /other"),
        ("services/index.html", "conf"),
        ("services/lists/b.txt", "conf"),
        ("services/greeting.in", "conf"),
    ):
        repository.write(path, text)
        is_concerned(repository, git, path)
        build(repository, git, "services/web.env")


def test_the_patterns_that_count_are_those_of_the_folder_of_the_statement(repository, git):
    repository.write("shared/common.env", "copy . -> /shared/")
    build(repository, git, "services/web.env")
    repository.write("services/lists/.envignore", "conf")
    assert refused(git) == []
    repository.write("shared/.envignore", "conf")
    is_concerned(repository, git, "shared/.envignore")


def is_concerned(repository, git, path: str) -> None:
    """The recipe lacks a result after the change of this file, by each of the three."""
    assert refused(git) == ["services/web.env"], path
    assert checked(repository) == {"services/web.env": "incomplete"}, path
    assert status(repository) == {"low/low.env": "up to date", "services/web.env": "incomplete"}, path


def test_a_recipe_of_another_directory_is_concerned_by_its_context(repository, git):
    repository.write("docker/app.env", "context ../app", "from scratch", "copy(optional) src -> /src", "copy f -> /")
    repository.write("app/src/main.py", "1")
    repository.write("app/f", "1")
    assert repository.command("build", "docker/app.env").code == 0
    assert refused(git) == []
    for path, concerned in (
        ("app/src/other.py", ["docker/app.env"]),
        ("app/.dockerignore", ["docker/app.env"]),
        ("docker/src/main.py", []),
        ("docker/.dockerignore", []),
        ("app/notes", []),
    ):
        repository.write(path, "src/other.py")
        assert refused(git) == concerned
        assert list(checked(repository)) == concerned
        if concerned:
            build(repository, git, "docker/app.env")
    assert repository.command("verify", "app").code == 0


def test_what_it_does_not_take_concerns_nothing(repository, git):
    for path in ("services/notes", "services/lists/a.tmp", "config/prod.env", "README", "low/notes"):
        repository.write(path, "2")
    assert refused(git) == []
    assert checked(repository) == {}


def test_a_lock_of_a_base_recipe_that_moves_alone_concerns_those_above(repository, git):
    repository.write("low/data", "2")
    assert refused(git) == ["low/low.env", "services/web.env"]
    assert repository.command("build", "low/low.env").code == 0
    assert git("status", "--porcelain") == " M low/low.env.lock\n"
    assert refused(git) == ["services/web.env"]
    assert checked(repository)["services/web.env"] == "incomplete"


def test_a_new_recipe_needs_a_lock(repository, git):
    repository.write("new/new.env", "from recipe:../low/low.env")
    assert refused(git) == ["new/new.env"]
    assert checked(repository) == {"new/new.env": "missing"}
    assert status(repository)["new/new.env"] == "missing"


def test_only_the_base_recipe_is_blamed_for_a_lock_that_it_lacks(repository, git):
    (repository.folder / "low/low.env.lock").unlink()
    assert refused(git) == ["low/low.env"]
    assert checked(repository) == {"low/low.env": "missing", "services/web.env": "unknown"}
    assert status(repository) == {"low/low.env": "missing", "services/web.env": "unknown"}
    # It is missing for whoever builds on it later, too.
    repository.write("services/index.html", "2")
    assert refused(git) == ["low/low.env"]
    assert checked(repository)["low/low.env"] == "missing"


def test_status_shows_the_whole_repository_from_anywhere_in_it(repository):
    repository.write("ignored/x.env", "from scratch")
    repository.write(".gitignore", "/ignored")
    repository.write("extra/new.env", "from scratch")
    assert set(status(repository, "shared")) == {
        "../extra/new.env",
        "../low/low.env",
        "../services/web.env",
    }
    named = repository.command("status", "ignored/x.env", "--format", "json")
    assert json.loads(named.out)[0]["lock"] == "missing"


def test_outside_of_a_repository_status_shows_the_directory(project):
    project.write("one.env", "from scratch")
    project.write("below/two.env", "from scratch")
    assert set(status(project)) == {"one.env"}


def test_without_git_status_shows_the_directory_and_says_so(repository, tmp_path):
    (tmp_path / "bin").mkdir()
    done = repository.command("status", PATH=str(tmp_path / "bin"))
    assert (done.code, "there is no recipe in this directory" in done.err) == (2, True)
    assert "git is not installed: only this directory's recipes are shown" in done.err
    inner = type(repository)(repository.folder / "low", repository.store)
    done = inner.command("status", PATH=str(tmp_path / "bin"))
    assert (done.code, done.out.splitlines()[0]) == (0, "low.env: lock up to date")


def test_a_link_on_the_way_to_a_file_concerns_the_recipe(repository, git):
    os.symlink("lists", repository.folder / "services/current")
    repository.write("services/other/a.txt", "another")
    repository.write("services/link.env", "from scratch", "copy current/a.txt -> /a")
    assert repository.command("build", "services/link.env").code == 0
    assert refused(git) == []
    repository.write("services/lists/a.txt", "2")
    assert refused(git) == ["services/link.env", "services/web.env"]
    repository.write("services/lists/a.txt", "1")
    assert refused(git) == []
    (repository.folder / "services/current").unlink()
    os.symlink("other", repository.folder / "services/current")
    assert refused(git) == ["services/link.env"]
