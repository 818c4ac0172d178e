"""A lock is text that anybody may write: what it says a step gave counts only where the store's own record agrees."""

from __future__ import annotations

import json

import pytest

from envbuild.lockfile import lock_file
from envbuild.lockfile.lock import Lock

pytestmark = pytest.mark.namespaces


@pytest.fixture
def two(project, git):
    """app and evil, both built in this store; app's lock is committed."""
    project.write("evil.env", "from tar:busybox.tar", "run echo evil > /who", "start /bin/cat /who")
    assert project.command("build", "evil.env").code == 0
    project.write("app.env", "from tar:busybox.tar", "run echo app > /who", "start /bin/cat /who")
    assert project.command("build", "app.env").code == 0
    git.commit("both")
    return project


def read(project, name: str) -> Lock:
    return lock_file.parse((project.folder / name).read_text(), name)


def forge(project, git, lock: Lock) -> None:
    (project.folder / "app.env.lock").write_text(lock_file.dump(lock))
    git("add", "-A")
    git("commit", "--quiet", "--no-verify", "-m", "forged")


def forgeries(project) -> dict[str, Lock]:
    """app's lock with evil's image: with the tree in its last step, without, with all of evil's results, and whole."""
    app, evil = read(project, "app.env.lock"), read(project, "evil.env.lock")
    stage = app.stages[0]
    steps = (*stage.steps[:-1], stage.steps[-1].replace(tree=evil.tree))
    image = {"image": evil.image, "tree": evil.tree, "size": evil.size}
    return {
        "tree": app.replace(**image, stages=(stage.replace(steps=steps),)),
        "image": app.replace(**image),
        "steps": app.replace(**image, stages=(stage.replace(steps=evil.stages[0].steps),)),
        "whole": evil.replace(recipe="app"),
    }


FORMS = ["tree", "image", "steps", "whole"]


@pytest.mark.parametrize("form", FORMS)
def test_a_forged_lock_is_not_up_to_date(two, git, form):
    forge(two, git, forgeries(two)[form])
    (one,) = [one for one in json.loads(two.command("status", "--format", "json").out) if one["recipe"] == "app.env"]
    assert (one["lock"], one["well"], one["proven"]) == ("out of date", False, False)
    if form in ("tree", "image"):
        assert not one["in_store"]
    done = two.command("git", "check", "HEAD~1..HEAD")
    assert (done.code, "out of date" in done.out) == (1, True), done.out
    assert two.command("git", "pre-commit").code == 0  # nothing is staged
    assert two.command("build", "app.env", "--locked").code == 1


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
        # 125 is what `git bisect run` takes for a commit that can not be tried.
        code = 125 if words[0] == "run" else 2
        assert (done.code, "evil\n" in done.out) == (code, False), (words, done.out, done.err)
        assert "not known to be that of the recipe" in done.err
    done = two.command("diff", "git:HEAD~1:app.env", "git:HEAD:app.env", "--format", "json")
    # Of the other two all steps are evil's own: it is evil's lock under another name, and a comparison shows evil.
    assert form in ("steps", "whole") or not json.loads(done.out)["new"]["in_store"]


def test_an_honest_one_is_as_ever(two, git):
    (one,) = [one for one in json.loads(two.command("status", "--format", "json").out) if one["recipe"] == "app.env"]
    assert (one["lock"], one["well"], one["proven"]) == ("up to date", True, True)
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
    (one,) = [
        one
        for one in json.loads(two.command("status", "--format", "json", ENVBUILD_STORE=store).out)
        if one["recipe"] == "app.env"
    ]
    assert one["proven"] is False
    assert "the lock's own word" in two.command("status", "app.env", ENVBUILD_STORE=store).out
    git("commit", "--quiet", "--no-verify", "--allow-empty", "-m", "x")
    two.write("app.env", "from tar:busybox.tar", "run echo app > /who", "start /bin/cat /who", "label a=b")
    git("add", "-A")
    git("commit", "--quiet", "--no-verify", "-m", "y")
    honest = two.command("git", "check", "HEAD~3..HEAD~2", ENVBUILD_STORE=store)
    assert "were not built here" in honest.out


def test_a_start_of_another_image_with_the_same_files(two, git):
    """Facts are not in a lock, but the image's digest is of them too."""
    two.write("evil.env", "from tar:busybox.tar", "run echo app > /who", "start /bin/echo evil")
    assert two.command("build", "evil.env").code == 0
    app, evil = read(two, "app.env.lock"), read(two, "evil.env.lock")
    assert (app.tree, app.image != evil.image) == (evil.tree, True)
    forge(two, git, app.replace(image=evil.image))
    done = two.command("run", "git:HEAD:app.env")
    assert (done.code, "evil" in done.out) == (125, False)
    assert two.command("git", "check", "HEAD~1..HEAD").code == 1


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
        assert lock.images[0][0] == "app"
        stage = lock.stages[0]
        forged = lock.replace(images=(("app", evil.image),))
        if how == "base":
            forged = forged.replace(stages=(stage.replace(digest=evil.tree, steps=()),))
        (two.folder / "next.env.lock").write_text(lock_file.dump(forged))
        two.command("build", "next.env")
        assert two.cat("/said", "next") == "app\n"
        assert read(two, "next.env.lock") == lock

    def test_another_tree_of_the_store(self, two):
        two.write("next.env", "from host(bash)", "run true")
        assert two.command("build", "next.env").code == 0
        lock, evil = read(two, "next.env.lock"), read(two, "evil.env.lock")
        stage = lock.stages[0].replace(digest=evil.tree, steps=())
        (two.folder / "next.env.lock").write_text(lock_file.dump(lock.replace(stages=(stage,))))
        (one,) = [
            one for one in json.loads(two.command("status", "--format", "json").out) if one["recipe"] == "next.env"
        ]
        assert not one["proven"]
        done = two.command("build", "next.env")
        assert (done.code, "is not what the lock has" in done.err) == (0, True), done.err
        assert two.command("cat", "next", "/who").code != 0
