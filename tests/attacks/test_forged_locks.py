"""A lock is text that anybody may write: what it says a step gave counts only where the store's own record agrees."""

from __future__ import annotations

import json

import pytest

from envbuild.lockfile import lock_file
from envbuild.lockfile.lock import Lock
from envbuild.lockfile.results import LockedImage, Results
from tests.history.conftest import Git

pytestmark = pytest.mark.namespaces


def app_and_evil(project) -> None:
    git = Git(project)
    git("init", "--quiet", "--initial-branch=main")
    project.write("evil.env", "from tar:busybox.tar", "run echo evil > /who", "start /bin/cat /who")
    assert project.command("build", "evil.env").code == 0
    project.write("app.env", "from tar:busybox.tar", "run echo app > /who", "start /bin/cat /who")
    assert project.command("build", "app.env").code == 0
    git.commit("both")


@pytest.fixture
def two(project, made_once, tmp_path):
    """app and evil, both built in this store; app's lock is committed."""
    with made_once.again(project, app_and_evil, tmp_path / "made"):
        yield project


@pytest.fixture
def git(two) -> Git:
    return Git(two)


def read(project, name: str) -> Lock:
    return lock_file.parse((project.folder / name).read_text(), name)


def forge(project, git, lock: Lock) -> None:
    (project.folder / "app.env.lock").write_text(lock_file.dump(lock))
    git("add", "-A")
    git("commit", "--quiet", "--no-verify", "-m", "forged")


def image_of(lock: Lock) -> LockedImage:
    return lock.results.images[0]


def forgeries(project) -> dict[str, Lock]:
    """app's lock with evil's image: with the tree for its last step, without, with all of evil's results, and whole."""
    app, evil = read(project, "app.env.lock"), read(project, "evil.env.lock")
    steps = dict.fromkeys(app.results.steps, (image_of(evil).tree,))

    def with_results(results: Results) -> Lock:
        return app.replace(own=app.own.replace(results=results))

    return {
        "tree": with_results(app.results.replace(steps=steps, images=evil.results.images)),
        "image": with_results(app.results.replace(images=evil.results.images)),
        "steps": with_results(evil.results),
        "whole": evil.replace(recipe="app"),
    }


FORMS = ["tree", "image", "steps", "whole"]


def status_of(project, name: str, store: str = "") -> dict:
    done = project.command("status", name, "--format", "json", **({"ENVBUILD_STORE": store} if store else {}))
    return json.loads(done.out)[0]


def test_a_tree_that_a_step_did_not_give_here_is_refused(two, git):
    forge(two, git, forgeries(two)["tree"])
    status = status_of(two, "app.env")
    assert (status["lock"], status["well"], status["proven"], status["in_store"]) == (
        "out of date",
        False,
        False,
        False,
    )
    done = two.command("git", "check", "HEAD~1..HEAD")
    assert (done.code, "out of date" in done.out) == (1, True), done.out
    assert two.command("git", "pre-commit").code == 0  # nothing is staged
    assert two.command("build", "app.env", "--locked").code == 1


@pytest.mark.parametrize("form", FORMS[1:])
def test_results_of_another_recipe_are_no_word_about_this_one(two, git, form):
    """They are stale lines, which say something true of keys that nobody asks for."""
    mine = image_of(read(two, "app.env.lock")).digest
    forge(two, git, forgeries(two)[form])
    status = status_of(two, "app.env")
    assert (status["lock"], status["well"], status["image"]) == ("incomplete", False, f"sha256:{mine}")
    done = two.command("git", "check", "HEAD~1..HEAD")
    assert (done.code, "does not have all results" in done.out) == (0, True), done.out
    assert two.command("build", "app.env", "--locked").code == 0
    assert two.command("build", "app.env", "--locked=exact").code == 1
    # Where none of it was built, nobody knows what the recipe gives, unless the lock is true of all steps.
    elsewhere = status_of(two, "app.env", f"{two.folder}/elsewhere")
    assert (elsewhere["proven"], elsewhere["in_store"]) == (False, False)
    assert elsewhere["image"] == (f"sha256:{mine}" if form == "image" else None)


@pytest.mark.parametrize("form", FORMS)
def test_and_its_image_is_not_taken_for_the_recipes(two, git, form):
    forge(two, git, forgeries(two)[form])
    two.write("next.env", "from image:app@HEAD", "run cat /who")
    for words in (
        ("run", "git:HEAD:app.env"),
        ("cat", "git:HEAD:app.env", "/who"),
        ("show", "app@HEAD"),
        ("tag", "app@HEAD", "prod"),
        ("build", "next.env"),
    ):
        done = two.command(*words)
        assert "evil\n" not in done.out
        if form == "tree":
            assert done.code == (125 if words[0] == "run" else 2), (words, done.out, done.err)
            assert "not known to be that of the recipe" in done.err
        else:
            # What it gives is what its own steps gave here.
            assert done.code == 0, (words, done.out, done.err)
            assert words[0] not in ("run", "cat") or done.out == "app\n"
    done = two.command("diff", "git:HEAD~1:app.env", "git:HEAD:app.env", "--format", "json")
    assert form == "tree" or (done.code, json.loads(done.out)["same"]) == (0, True)


def test_an_honest_one_is_as_ever(two, git):
    (status,) = [
        recipe for recipe in json.loads(two.command("status", "--format", "json").out) if recipe["recipe"] == "app.env"
    ]
    assert (status["lock"], status["well"], status["proven"]) == ("up to date", True, True)
    assert two.command("run", "git:HEAD:app.env").out == "app\n"
    # Another text that gives the same image: the older one's image is still known.
    two.write("app.env", "# a remark", "from tar:busybox.tar", "run echo app > /who", "start /bin/cat /who")
    assert two.command("build", "app.env").code == 0
    git.commit("remark")
    assert two.command("run", "git:HEAD:app.env").out == "app\n"
    assert two.command("run", "git:HEAD~1:app.env").out == "app\n"


def test_where_nothing_was_built_it_is_said(two, git, tmp_path):
    forge(two, git, forgeries(two)["tree"])
    store = str(tmp_path / "ci")
    assert status_of(two, "app.env", store)["proven"] is False
    git("commit", "--quiet", "--no-verify", "--allow-empty", "-m", "x")
    two.write("app.env", "from tar:busybox.tar", "run echo app > /who", "start /bin/cat /who", "label a=b")
    git("add", "-A")
    git("commit", "--quiet", "--no-verify", "-m", "y")
    assert "does not have all results" in two.command("git", "check", "HEAD~1..HEAD", ENVBUILD_STORE=store).out
    two.write("app.env", "from tar:busybox.tar", "run echo app > /who", "start /bin/cat /who")
    assert two.command("build", "app.env").code == 0
    git.commit("honest")
    assert "the lock's own word" in two.command("status", "app.env", ENVBUILD_STORE=store).out
    honest = two.command("git", "check", "HEAD~3..HEAD", ENVBUILD_STORE=store)
    assert "were not built here" in honest.out


def test_a_start_of_another_image_with_the_same_files(two, git):
    """Facts are not in a lock, but the image's digest is of them too."""
    two.write("evil.env", "from tar:busybox.tar", "run echo app > /who", "start /bin/echo evil")
    assert two.command("build", "evil.env").code == 0
    app, evil = read(two, "app.env.lock"), read(two, "evil.env.lock")
    assert (image_of(app).tree, app.image != evil.image) == (image_of(evil).tree, True)
    forge(two, git, app.replace(own=app.own.replace(results=app.results.replace(images=evil.results.images))))
    done = two.command("run", "git:HEAD:app.env")
    assert (done.code, done.out) == (0, "app\n")
    assert "does not have all results" in two.command("git", "check", "HEAD~1..HEAD").out


class TestWhatALockPins:
    """Bases are taken as the lock has them, from what the store made for such a base, and from nothing else it has."""

    @pytest.mark.parametrize("how", ["base", "copy"])
    def test_another_image_of_the_store(self, two, how):
        evil = read(two, "evil.env.lock")
        lines = ("from image:app", "run cat /who > /said")
        if how == "copy":
            lines = ("from tar:busybox.tar", "copy(from=image:app) /who -> /said", "run true")
        two.write("next.env", *lines)
        assert two.command("build", "next.env").code == 0
        assert two.cat("/said", "next") == "app\n"
        lock = read(two, "next.env.lock")
        assert lock.own.images[0][0] == "app"
        forged = lock.own.replace(images=(("app", evil.image),))
        if how == "base":
            forged = forged.replace(stages=(lock.stages[0].replace(digest=image_of(evil).tree),))
        forged = lock.replace(own=forged)
        (two.folder / "next.env.lock").write_text(lock_file.dump(forged))
        two.command("build", "next.env")
        assert two.cat("/said", "next") == "app\n"
        assert read(two, "next.env.lock") == lock

    def test_another_tree_of_the_store(self, two):
        two.write("next.env", "from host(busybox-static)", "file /x", "    x")
        assert two.command("build", "next.env").code == 0
        lock, evil = read(two, "next.env.lock"), read(two, "evil.env.lock")
        forged = lock.own.replace(stages=(lock.stages[0].replace(digest=image_of(evil).tree),))
        (two.folder / "next.env.lock").write_text(lock_file.dump(lock.replace(own=forged)))
        (status,) = [
            recipe
            for recipe in json.loads(two.command("status", "--format", "json").out)
            if recipe["recipe"] == "next.env"
        ]
        assert not status["proven"]
        done = two.command("build", "next.env")
        assert (done.code, "is not what the lock has" in done.err) == (0, True), done.err
        assert two.command("cat", "next", "/who").code != 0
