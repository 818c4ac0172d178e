"""Who brought what breaks it, and the report."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from envbuild.history.authorship import lock_credit
from envbuild.history.origin import pinned_at
from envbuild.store.store import Store
from tests.conftest import Project
from tests.history.conftest import Git

pytestmark = pytest.mark.namespaces
RECIPE = ("copy root/ -> /", "run echo {made} > /made", "env MODE={mode} LEVEL={mode}")
HOSTILE = "a<img src=x onerror=alert(1)>\x1b[2J\n.txt"


@pytest.fixture
def committed(project: Project) -> tuple[Project, Git]:
    """Two builds of a recipe, each committed with its lock."""
    git = Git(project)
    git("init", "--quiet", "--initial-branch=main")
    project.write(".gitignore", "busybox.tar", "base/")
    for made, mode, text in (("good", "good", "yes"), ("bad", "bad", "no")):
        git.environment["GIT_COMMITTER_DATE"] = f"2026-11-{10 if made == 'good' else 20} 12:00:00 +0000"
        project.write("root/etc/conf", "first", f"answer = {text}", "last")
        project.write(f"root/etc/{HOSTILE}", text)
        done = project.build(*(line.format(made=made, mode=mode) for line in RECIPE))
        assert done.code == 0, done.err
        git.commit(f"All is {made} <b>")
    return project, git


def bisect(project: Project, *words: str) -> dict:
    done = project.command("bisect", "web@{1}", "web", "--format", "json", *words)
    assert done.code == 0, done.err
    return json.loads(done.out)


def only(report: dict) -> dict:
    (difference,) = report["differences"]
    return difference


@pytest.mark.parametrize(
    ("test", "name", "statement"),
    [
        ("grep -q yes /etc/conf", "/etc/conf", "copy root/ -> /"),
        ("grep -q good /made", "/made", "run echo bad > /made"),
        ('test "$MODE" = good', "the variable MODE", "env MODE=bad LEVEL=bad"),
    ],
)
def test_the_statement_and_the_commit_are_named(committed, test: str, name: str, statement: str):
    project, git = committed
    difference = only(bisect(project, "--", "sh", "-c", test))
    assert difference["name"] == name
    origin = difference["origin"]
    assert (origin["statement"], origin["commit"]["summary"]) == (statement, "All is bad <b>")
    assert origin["place"].startswith("web.env:")
    assert origin["commit"]["commit"] == git("rev-parse", "HEAD").strip()


def test_a_package_is_named_with_the_line_of_the_lock():
    lock = '\n          - {name: "libc6", version: "2.41-1", h}\n  - {name: "Jupyter_Server", version: "2.0", h}'
    wanted = (("libc6:amd64", "2.41-1", 2), ("libc6", "2.40", 0), ("jupyter-server", "2.0", 3))
    assert [pinned_at(lock, name, version) for name, version, _ in wanted] == [line for *_, line in wanted]


def test_the_report_is_one_page_in_which_nothing_of_others_is_markup(committed):
    project, _ = committed
    test = "printf '<script>x</script>\\033[31mred\\n'; ! grep -q no /etc/a*"
    report = bisect(project, "--html", "report.html", "--", "sh", "-c", test)
    assert only(report)["name"].endswith(".txt")
    page = Path(project.folder / "report.html").read_text()
    assert "onerror=alert(1)&gt;" in page
    assert "&lt;script&gt;x" in page
    assert "<img" not in page
    assert "<script" not in page
    assert "\x1b" not in page
    assert "http" not in page.replace("http-equiv", "")
    assert report["answer"].partition(" breaks")[0].replace("<", "&lt;")[:5] in page


def test_a_page_that_cannot_be_written_is_said_before_the_search(project: Project):
    project.build("run echo 1 > /a")
    project.build("run echo 2 > /a")
    done = project.command("bisect", "web@{1}", "web", "--html", "nowhere/x.html", "--", "grep", "1", "/a")
    assert (done.code, "nowhere/x.html" in done.err) == (2, True)


def test_an_instance_is_an_operand_and_says_that_it_was_changed_by_hand(project: Project):
    project.build("run echo good > /etc/conf", "start sleep 1000")
    assert project.command("run", "-d", "--name", "box", "web").code == 0
    try:
        assert project.command("exec", "box", "sh", "-c", "echo bad > /etc/conf; touch /etc/other").code == 0
        done = project.command("bisect", "web", "box", "--format", "json", "--", "grep", "-q", "good", "/etc/conf")
        assert done.code == 0, done.err
        difference = only(json.loads(done.out))
        assert difference["name"] == "/etc/conf"
        assert difference["origin"]["statement"] == "changed by hand in box"
        assert project.command("run", "bisect:bad", "--", "cat", "/etc/conf").out == "bad\n"
        assert project.command("run", "bisect:good", "--", "cat", "/etc/conf").out == "good\n"
    finally:
        project.command("rm", "--force", "box")


def test_a_revision_and_an_earlier_move_are_operands(committed):
    project, _ = committed
    for good, bad in (("web@HEAD~1", "web@HEAD"), ("git:HEAD~1:web.env", "web.env"), ("web@{1}", "web.env.lock")):
        done = project.command("bisect", good, bad, "--format", "json", "--", "grep", "-q", "good", "/made")
        assert done.code == 0, done.err
        assert only(json.loads(done.out))["name"] == "/made"


def test_the_commit_of_a_lock_is_known_where_another_recipe_made_the_same_image_since(committed):
    project, git = committed
    line = next(line for line in (project.folder / "web.env.lock").read_text().split("\n") if "image" in line)
    image = project.build("from image:web", name="same.env").image
    with Store.open(str(project.store), create=False) as store:
        by_lock = lock_credit(store, image, "web.env.lock", line)
        of_the_last = lock_credit(store, image, "same.env.lock", line)
    assert by_lock is not None
    assert by_lock.author is not None
    assert by_lock.author.commit == git("rev-parse", "HEAD").strip()
    assert of_the_last is not None
    assert of_the_last.uncommitted
