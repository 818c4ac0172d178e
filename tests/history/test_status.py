"""How the recipes of a folder stand."""

import json

import pytest

pytestmark = pytest.mark.namespaces


def status(project, *words: str, **variables: str) -> dict:
    done = project.command("status", *words, "--format", "json", **variables)
    assert done.code in (0, 1), done.err
    report = json.loads(done.out)
    return report[0] if len(report) == 1 else {item["recipe"]: item for item in report}


@pytest.fixture
def built(project):
    project.write("src/x", "1")
    project.write("src/y", "1")
    project.write("conf", "1")
    project.build("copy src -> /app", "run echo ${A:-} > /a", "copy conf -> /conf", "env B=1")
    return project


def test_a_recipe_that_was_just_built_is_well(built):
    report = status(built)
    assert (report["lock"], report["in_store"], report["well"]) == ("up to date", True, True)
    assert built.command("status", "--exit-code").code == 0


def test_every_file_that_changed_is_named_also_behind_the_first(built):
    built.write("src/x", "2")
    built.write("src/new", "1")
    built.write("conf", "2")
    report = status(built)
    assert (report["lock"], report["well"], report["image"]) == ("incomplete", False, None)
    assert sorted(report["changed"]) == [
        "copied file conf changed",
        "copied file src/new is new",
        "copied file src/x changed",
    ]
    assert built.command("status", "--exit-code").code == 1
    text = built.command("status").out
    assert "web.env: lock incomplete" in text
    assert "copied file conf changed" in text


@pytest.mark.parametrize(
    ("lines", "reason"),
    [
        (
            ("copy src -> /app", "run echo 2 > /a", "copy conf -> /conf", "env B=1"),
            "web.env:3: 'run echo 2 > /a': command changed",
        ),
        (("copy src -> /app", "run echo ${A:-} > /a", "copy conf -> /conf", "env B=2"), "what the image says"),
        (("copy src -> /app", "run echo ${A:-} > /a", "env B=1"), "the lock has another image"),
        (
            ("copy src -> /app", "run echo ${A:-} > /a", "copy conf -> /conf", "run true", "env B=1"),
            "web.env:5: 'run true': what it gives is not in the lock",
        ),
    ],
)
def test_what_of_the_recipe_changed_is_said(built, lines, reason):
    built.write("web.env", "from tar:busybox.tar", *lines)
    report = status(built)
    assert report["lock"] == "incomplete"
    assert any(reason in item for item in report["reasons"]), report["reasons"]


def test_a_result_that_this_store_has_itself_needs_no_lock(built):
    """As after a merge whose halves were built here, or a build with another lock."""
    image = status(built)["image"]
    built.write("src/x", "2")
    built.build()
    lock = built.folder / "web.env.lock"
    after = lock.read_text()
    built.write("src/x", "1")
    report = status(built)
    assert (report["lock"], report["image"], report["in_store"]) == ("incomplete", image, True)
    assert lock.read_text() == after


def test_a_fresh_clone_without_images_knows_whether_the_lock_fits(built, tmp_path):
    elsewhere = {"ENVBUILD_STORE": str(tmp_path / "other")}
    report = status(built, **elsewhere)
    assert (report["lock"], report["in_store"], report["tagged"]) == ("up to date", False, None)
    built.write("src/x", "2")
    assert status(built, **elsewhere)["lock"] == "incomplete"
    built.write("web.env", "param x = 1", "from tar:busybox.tar", "copy src -> /app")
    assert status(built, **elsewhere)["lock"] == "out of date"


def test_a_tag_that_was_moved_is_noticed(built):
    built.build("run true", name="other.env")
    built.command("tag", "other", "web")
    report = status(built, "web.env")
    assert (report["lock"], report["well"]) == ("up to date", False)
    assert "names another image" in built.command("status", "web.env").out


def test_recipes_without_a_lock_and_with_mistakes_are_told(built):
    built.write("new.env", "from scratch", "run true")
    built.write("bad.env", "from scratch", "rnu true")
    report = status(built)
    assert report["new.env"]["lock"] == "missing"
    assert report["bad.env"]["lock"] == "unreadable"
    assert report["web.env"]["lock"] == "up to date"


def test_a_recipe_that_is_not_there_is_a_mistake(built):
    done = built.command("status", "none.env")
    assert (done.code, "there is no recipe none.env" in done.err) == (2, True)
    missing = built.command("diff", "none.env", "web")
    assert (missing.code, "there is no file none.env" in missing.err) == (2, True)


def test_a_new_fetch_is_a_difference(built):
    text = (built.folder / "web.env").read_text()
    (built.folder / "web.env").write_text(f"{text}fetch http://127.0.0.1:9/conf -> /fetched\n")
    report = status(built)
    assert report["lock"] == "out of date"
    assert "asks for something that the lock does not have" in report["reasons"][0]


def test_a_copy_from_a_stage_that_is_not_here_is_unknown(project, tmp_path):
    project.build("from tar:busybox.tar as one", "run echo 1 > /a", "from tar:busybox.tar", "copy(from=one) /a -> /b")
    assert status(project)["lock"] == "up to date"
    report = status(project, ENVBUILD_STORE=str(tmp_path / "other"))
    assert report["lock"] == "unknown"
    assert "is not in the store" in report["reasons"][0]


def test_nothing_runs_and_nothing_is_written(built):
    before = (built.folder / "web.env.lock").read_bytes()
    built.write("web.env", "from tar:busybox.tar", "run touch /ran")
    built.command("status")
    assert (built.folder / "web.env.lock").read_bytes() == before
    assert len(built.command("log", "web", "--oneline").out.splitlines()) == 1
