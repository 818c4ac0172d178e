"""Tags by branch: a form of their own, which no build moves for another branch, and which goes with the branch."""

from __future__ import annotations

import json
import shutil
import sqlite3

import pytest

from envbuild.store.branch_tags import branch_tag, bring_along

pytestmark = pytest.mark.namespaces


@pytest.fixture
def main(project, git):
    project.build("file /a\n    main")
    git.commit("main")
    return project


def tags(project) -> set[str]:
    images = json.loads(project.command("images", "--format", "json").out)
    return {tag for image in images for tag in image["tags"]}


def test_each_branch_has_a_tag_of_its_own():
    assert branch_tag("main") == "branch/main"
    assert branch_tag("feature/x") == "branch/feature/x"
    assert branch_tag("fix#1").startswith("branch/fix-1-")
    assert len({branch_tag(name) for name in ("a/b", "a-b", "a#b", "a+b", "ä", "ö", "_a", "a")}) == 8


def test_a_branch_called_as_a_tag_moves_nothing_but_its_own(main, git):
    main.command("tag", "web", "web:prod")
    main.command("tag", "web", "web:v1", "--immutable")
    for branch in ("prod", "v1"):
        git("checkout", "--quiet", "-b", branch)
        done = main.build(f"file /a\n    {branch}")
        assert done.code == 0, done.err
        assert main.cat("/a", f"web:branch/{branch}") == f"{branch}\n"
    assert main.cat("/a", "web:prod") == main.cat("/a", "web:v1") == "main\n"


def test_nobody_else_sets_such_a_tag(main):
    for words in (("tag", "web", "web:branch/x"), ("build", "web.env", "--tag", "web:branch/x")):
        done = main.command(*words)
        assert (done.code, "is the tag of a branch" in done.err) == (2, True), done.err
    for name in ("web:branch/", "web:branch/../x", "web:a/b", "web:branch//x"):
        assert "can't name an image" in main.command("log", name).err


def test_every_place_that_takes_an_image_takes_it(main, git):
    git("checkout", "--quiet", "-b", "feature/x")
    main.build("file /a\n    x")
    for words in (
        ("show", "web:branch/feature/x"),
        ("log", "web:branch/feature/x"),
        ("run", "web:branch/feature/x@{0}", "--", "true"),
        ("why", "web:branch/feature/x", "/a"),
        ("rollback", "web:branch/feature/x", "--to", "0"),
        ("tag", "web:branch/feature/x", "web:kept"),
    ):
        done = main.command(*words)
        assert done.code == 0, done.err
    assert main.command("diff", "web:branch/main", "web:branch/feature/x").code == 1
    main.build("file /a\n    y")
    assert "M /a" in main.command("diff", "web:branch/feature/x").out
    main.write("next.env", "from image:web:branch/feature/x", "run cat /a > /b")
    assert main.command("build", "next.env").code == 0
    assert main.cat("/b", "next") == "y\n"


def test_tags_of_deleted_branches_go_with_gc(main, git, tmp_path):
    for branch in ("gone", "far", "left"):
        git("checkout", "--quiet", "-b", branch)
        main.build(f"file /a\n    {branch}")
        git.commit(branch)
        git("checkout", "--quiet", "main")
    main.build()
    git("branch", "--quiet", "-D", "gone", "far")
    # It is a branch of a remote still.
    git("update-ref", "refs/remotes/origin/far", "main")
    dry = json.loads(main.command("gc", "--dry-run", "--format", "json").out)
    assert dry["tags"] == ["project/web:branch/gone"]
    assert "project/web:branch/gone" in tags(main)
    assert "web:branch/gone" in main.command("gc").out
    assert tags(main) == {f"project/web:{tag}" for tag in ("latest", "branch/main", "branch/far", "branch/left")}
    assert main.command("log", "web:branch/gone").code == 0
    # A repository that is gone says nothing.
    shutil.move(main.folder / ".git", tmp_path / "git")
    assert main.command("gc").code == 0
    assert "project/web:branch/left" in tags(main)


class TestFormat3:
    """Stores in which the build in a branch `feature/x` moved web:feature-x."""

    def old(self, *moves: tuple[str, str, str | None, dict], immutable: tuple[str, ...] = ()) -> sqlite3.Connection:
        database = sqlite3.connect(":memory:")
        database.execute("CREATE TABLE tags (name, tag, image, moved, immutable, PRIMARY KEY (name, tag))")
        database.execute("CREATE TABLE history (number INTEGER PRIMARY KEY, name, tag, image, moved, reason, detail)")
        for number, (tag, reason, image, detail) in enumerate(moves, 1):
            values = (number, "web", tag, image, number, reason, json.dumps(detail))
            database.execute("INSERT INTO history VALUES (?, ?, ?, ?, ?, ?, ?)", values)
            database.execute("DELETE FROM tags WHERE tag = ?", (tag,))
            if image is not None:
                database.execute("INSERT INTO tags VALUES ('web', ?, ?, ?, ?)", (tag, image, number, tag in immutable))
        bring_along(database)
        return database

    def names(self, database: sqlite3.Connection) -> dict[str, str]:
        return dict(database.execute("SELECT tag, image FROM tags"))

    def test_tags_of_branches_get_their_form_with_their_history(self):
        database = self.old(
            ("main", "build", "a", {"branch": "main"}),
            ("latest", "build", "a", {"branch": "main"}),
            ("feature-x", "build", "b", {"branch": "feature/x"}),
            ("feature-x", "build", "c", {"branch": "feature-x"}),
            ("main", "build", "d", {"branch": "main"}),
            ("main", "rollback", "a", {"entry": 1}),
            ("old", "build", "e", {"branch": "old"}),
            ("old", "untag", None, {}),
        )
        assert self.names(database) == {
            "branch/main": "a",
            "latest": "a",
            "branch/feature/x": "b",
            "branch/feature-x": "c",
        }
        moves = [row[0] for row in database.execute("SELECT tag FROM history ORDER BY number")]
        assert moves == [
            *("branch/main", "latest", "branch/feature/x", "branch/feature-x"),
            *("branch/main", "branch/main", "branch/old", "branch/old"),
        ]

    def test_tags_that_somebody_set_stay(self):
        database = self.old(
            ("prod", "tag", "a", {"source": "web"}),
            ("prod", "build", "b", {"branch": "prod"}),
            ("v1", "build", "c", {"branch": "v1"}),
            ("v2", "build", "d", {"branch": "main"}),
            ("v3", "build", "e", {}),
            ("v4", "build", "f", {"branch": ["v4"]}),
            immutable=("v1",),
        )
        assert self.names(database) == {"prod": "b", "v1": "c", "v2": "d", "v3": "e", "v4": "f"}

    def test_a_store_gets_it_when_it_is_opened(self, main):
        with sqlite3.connect(main.store / "store.db") as database:
            for table in ("tags", "history"):
                database.execute(f"UPDATE {table} SET tag = 'main' WHERE tag = 'branch/main'")
                database.execute(f"UPDATE {table} SET name = 'web'")
            database.execute("DROP TABLE projects")
            database.execute("PRAGMA user_version = 3")
        database.close()
        assert main.cat("/a", "web:branch/main") == "main\n"
        assert tags(main) == {"project/web:latest", "project/web:branch/main"}


def test_the_time_that_log_shows_is_that_entry(project):
    for number in range(4):
        project.build(f"file /a\n    {number}")
    with sqlite3.connect(project.store / "store.db") as database:
        for number, moment in ((1, 1000.7), (2, 1000.900001), (3, 1001.9999999), (4, 1005.25)):
            database.execute("UPDATE history SET moved = ? WHERE number = ?", (moment, number))
    database.close()
    entries = json.loads(project.command("log", "web", "--format", "json").out)
    assert entries[0]["moved"] == "1970-01-01T00:16:45Z"
    for entry in entries:
        shown = project.show(f"web@{{{entry['moved']}}}")
        assert shown["digest"] == entry["image"], entry
        assert entry["moved"] in project.command("log", "web").out
    last = entries[0]["moved"].removesuffix("Z").replace("T", " ") + "+00:00"
    assert project.command("rollback", "web", "--to", entries[1]["moved"]).code == 0
    assert project.show("web")["digest"] == entries[1]["image"]
    assert project.show(f"web@{{{last}}}")["digest"] == entries[0]["image"]
