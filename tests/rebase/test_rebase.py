"""`envbuild rebase`: an image's changes on another base."""

import json

import pytest

from tests.conftest import Project
from tests.sharing.images import Layout, layer

pytestmark = pytest.mark.namespaces


@pytest.fixture
def bases(project):
    """Two releases of a base, old and new, and web, which was built on the old one."""
    old = ("from tar:busybox.tar", "file /lib/ssl", "  1", "file /lib/gone", "  1", "env RELEASE=1")
    new = ("from tar:busybox.tar", "file /lib/ssl", "  2", "file /lib/new", "  2", "env RELEASE=2")
    accounts = ("file /etc/passwd", "  root:x:0:0:root:/root:/bin/sh", "  app:x:9:9::/:/bin/sh")
    web = ("from image:old", "file /app", "  app", *accounts, "env APP=1")
    tests = ("test grep -q app /app", "test [ $APP = 1 ] && [ ! -e /poor ]")
    for name, lines in (("old", old), ("new", new), ("web", (*web, *tests))):
        done = project.build(*lines, name=f"{name}.env")
        assert done.code == 0, done.err
    return project


def rebased(project: Project, *words: str, code: int = 0) -> dict:
    done = project.command("rebase", *words, "--format", "json")
    assert done.code == code, done.out + done.err
    return json.loads(done.out)


@pytest.mark.user
def test_the_changes_of_an_image_are_put_on_the_new_base(bases):
    before = bases.show("web")["digest"]
    report = rebased(bases, "web", "--onto", "new")
    assert (report["base"]["name"], report["base"]["known_by"]) == ("image:old", "built here")
    assert [check["passed"] for check in report["checks"]["checks"]] == [True, True]
    assert [bases.cat(f"/{path}", "web:rebased") for path in ("lib/ssl", "lib/new", "app")] == ["2\n", "2\n", "app\n"]
    assert "gone" not in bases.ls("/lib", "web:rebased")
    assert "app:x:9:9" in bases.cat("/etc/passwd", "web:rebased")
    assert bases.show("web:rebased")["facts"]["env"] == {"APP": "1", "RELEASE": "2"}
    assert bases.show("web")["digest"] == before
    assert "rebase of web onto new" in bases.command("log", "web:rebased").out
    # What comes of a build on the new base is the same, but for times.
    bases.write("web.env", (bases.folder / "web.env").read_text().replace("image:old", "image:new"))
    assert bases.build().code == 0
    assert bases.command("diff", "web", "web:rebased", "--files").out.count("content") == 0


def test_back_onto_the_old_base_it_is_the_image_that_it_was(bases):
    rebased(bases, "web", "--onto", "new", "--tag", "web:patched")
    report = rebased(bases, "web:patched", "--onto", "old")
    assert report["base"]["known_by"] == "built here"
    assert report["image"] == bases.show("web")["digest"]


def test_a_test_that_fails_keeps_the_tag_where_it_is(bases):
    assert bases.build("from tar:busybox.tar", "file /poor", "  1", name="poor.env").code == 0
    rebased(bases, "web", "--onto", "new")
    tag = bases.show("web:rebased")["digest"]
    done = bases.command("rebase", "web", "--onto", "poor")
    assert (done.code, "is not tagged" in done.out, "exit code 1" in done.out) == (1, True, True)
    assert bases.show("web:rebased")["digest"] == tag
    rebased(bases, "web", "--onto", "poor", "--no-verify")
    assert bases.show("web:rebased")["digest"] != tag


def test_conflicts_are_as_in_a_merge(bases):
    assert bases.build("from image:old", "file /lib/ssl", "  mine", name="web.env").code == 0
    report = rebased(bases, "web", "--onto", "new", code=1)
    assert [(conflict["name"], conflict["kind"]) for conflict in report["conflicts"]] == [("/lib/ssl", "content")]
    assert bases.command("show", "web:rebased").code != 0
    assert rebased(bases, "web", "--onto", "new", "--ours", "/lib/ssl")["tagged"]
    assert bases.cat("/lib/ssl", "web:rebased") == "mine\n"


def test_a_dry_run_tags_nothing(bases):
    done = bases.command("rebase", "web", "--onto", "new", "--dry-run")
    assert (done.code, "no conflicts" in done.out) == (0, True)
    assert bases.command("show", "web:rebased").code != 0


def test_a_base_as_a_recipe_begins_with_it_is_made(bases):
    assert bases.build("from scratch", "file /app", "  app", name="alone.env").code == 0
    report = rebased(bases, "alone", "--onto", "scratch@new")
    assert (report["base"]["name"], report["onto"]["name"]) == ("scratch", "scratch@new")
    assert report["image"] == bases.show("alone")["digest"]
    assert rebased(bases, "web", "--onto", "image:new")["tagged"]
    done = bases.command("rebase", "web", "--onto", "debian:no/suite")
    assert (done.code, "debian" in done.err) == (2, True)


def test_an_image_of_other_tools_whose_layers_prove_its_base(project):
    lines = {name: f"{name}\n".encode() for name in ("old", "new")}
    bases = {name: layer(("etc", None), ("etc/release", text), ("etc/a", b"a")) for name, text in lines.items()}
    top = layer(("srv", None), ("srv/app", b"app"))
    images = {"old": (bases["old"],), "new": (bases["new"],), "web": (bases["old"], top)}
    for name, layers in images.items():
        path = Layout(*layers, Env=[f"BASE={name}"], Cmd=["/srv/app"]).write(project.folder / name)
        assert project.command("import", str(path), f"{name}:1").code == 0
    report = rebased(project, "web:1", "--onto", "new:1", "--ours", "env.BASE")
    assert (report["base"]["name"], report["base"]["known_by"]) == ("old:1", "layers")
    assert [project.cat(path, "web:rebased") for path in ("/etc/release", "/srv/app")] == ["new\n", "app"]
    assert project.show("web:rebased")["facts"]["env"] == {"BASE": "web"}


@pytest.fixture
def came(bases, tmp_path):
    """A project with another store, into which the bases were built and web came from elsewhere."""
    assert bases.command("export", "web", "-o", str(tmp_path / "web"), "--format", "oci").code == 0
    away = Project(bases.folder, tmp_path / "away")
    for name in ("old", "new"):
        assert away.build(name=f"{name}.env").code == 0
    assert away.command("import", str(tmp_path / "web"), "came:1").code == 0
    return away


def test_the_tests_of_an_image_that_came_run_without_its_recipe(came):
    done = came.command("rebase", "came:1", "--onto", "new")
    assert done.code == 0, done.out + done.err
    assert "as the image says, which nothing proves" in done.out
    assert "2 checks passed: test grep -q app /app, test [ $APP = 1 ] && " in done.out


def test_what_no_build_made_is_not_verified(bases):
    rebased(bases, "web", "--onto", "new")
    done = bases.command("verify", "web:rebased")
    assert (done.code, "was put together by a rebase" in done.err) == (2, True)
