"""Names belong to projects: what `web` means in a clone, a worktree, a branch, and outside of all."""

from __future__ import annotations

import json
import os
import shutil
import sqlite3
import subprocess
from pathlib import Path

import pytest

from envbuild.store.branch_tags import branch_tag
from envbuild.store.project import project_at, split_project
from envbuild.store.tags_of_projects import hand_over
from envbuild.store.working_tree import WorkingTree
from tests.conftest import Project
from tests.history.conftest import Git

pytestmark = pytest.mark.namespaces


def clone(project: Project, folder: Path) -> tuple[Project, Git]:
    """Another repository with the base of the project, and the same store."""
    folder.mkdir(parents=True)
    shutil.copy(project.folder / "busybox.tar", folder)
    other = Project(folder, project.store)
    git = Git(other)
    git("init", "--quiet", "--initial-branch=main")
    return other, git


@pytest.fixture
def clones(project, tmp_path):
    """Two clones called `shop`, each with its `web`, and the directory above them, which is in no repository."""
    made = []
    for side in ("left", "right"):
        shop, git = clone(project, tmp_path / side / "shop")
        assert shop.build(f"file /a\n    {side}").code == 0
        git.commit(side)
        made.append(shop)
    return *made, Project(tmp_path, project.store)


def short(project: Project, folder: Path) -> str:
    """The name by which a project is told apart from others whose directory is called the same."""
    images = json.loads(project.command("images", "--format", "json").out)
    return next(image["project"]["name"] for image in images if image["project"]["path"] == str(folder))


class TestClones:
    def test_each_has_a_web_of_its_own(self, clones):
        left, right, _ = clones
        assert (left.cat("/a"), right.cat("/a")) == ("left\n", "right\n")
        left.build("file /a\n    again")
        assert right.cat("/a") == "right\n"
        assert right.command("rollback", "web").code == 2, "the other's build is no entry of its history"
        assert left.command("rollback", "web").code == 0
        assert (left.cat("/a"), right.cat("/a")) == ("left\n", "right\n")
        entries = json.loads(right.command("log", "web", "--format", "json").out)
        assert [entry["project"]["path"] for entry in entries] == [str(right.folder)]

    def test_from_outside_the_project_is_named(self, clones):
        left, right, outside = clones
        done = outside.command("run", "web", "--", "cat", "/a")
        assert (done.code, str(left.folder) in done.err, str(right.folder) in done.err) == (2, True, True)
        many = outside.command("run", "shop/web", "--", "cat", "/a")
        assert (many.code, "2 projects have an image 'shop/web'" in many.err) == (2, True)
        assert (str(left.folder) in many.err, str(right.folder) in many.err) == (True, True)
        for shop, text in ((left, "left\n"), (right, "right\n")):
            name = short(outside, shop.folder)
            assert name in many.err
            for place in clones:
                assert place.cat("/a", f"{name}/web") == text
                assert place.cat("/a", f"{name}/web:branch/main@{{0}}") == text
                assert place.cat("/a", f"{name}/web@HEAD") == text
        left.command("untag", "web")
        assert outside.cat("/a", "shop/web") == "right\n", "of two projects, the one that has the name"

    def test_every_tag_set_in_a_project_is_one_of_it(self, clones):
        left, right, outside = clones
        assert left.command("tag", "web", "web:prod", "--immutable").code == 0
        assert left.command("build", "web.env", "--tag", "x").code == 0
        assert right.command("tag", "web", "web:prod").code == 0
        assert right.cat("/a", "web:prod") == "right\n"
        assert "'x'" in right.command("show", "x").err
        refused = left.command("build", "web.env", "--set", "a=1", "--tag", "web:prod")
        assert refused.code != 0
        name = short(outside, left.folder)
        assert outside.command("tag", f"{name}/web:prod", f"{name}/web:qa").code == 0
        assert left.cat("/a", "web:qa") == "left\n"
        assert outside.command("untag", f"{name}/web:prod").code == 1
        assert f"{name}/web:prod is immutable" in outside.command("untag", f"{name}/web:prod").err
        assert outside.command("untag", "--force", f"{name}/web:prod").code == 0
        assert outside.command("tag", f"{name}/web", "mine").code == 0
        assert left.cat("/a", "mine") == "left\n", (
            "outside of all projects, and found where the project has no such name"
        )

    def test_an_instance_is_one_of_the_project_that_started_it(self, clones):
        left, right, outside = clones
        assert left.command("run", "-d", "--name", "one", "web", "--", "sleep", "1000").code == 0
        try:
            right.build("file /a\n    new")
            (instance,) = json.loads(outside.command("ps", "--format", "json").out)
            assert instance["moved_on"] == ""
            assert instance["reference"] == f"{short(outside, left.folder)}/web:branch/main"
            built = left.build("file /a\n    new")
            (instance,) = json.loads(outside.command("ps", "--format", "json").out)
            assert instance["moved_on"] == instance["reference"], built.err
            assert [
                drifted["instance"] for drifted in json.loads(left.command("drift", "web", "--format", "json").out)
            ] == ["one"]
            assert json.loads(right.command("drift", "web", "--format", "json").out) == []
            done = right.command("commit", "one", "--no-recipe")
            assert done.code == 0, done.err
            assert left.cat("/a", "web:one") == "left\n"
            assert right.command("show", "web:one").code == 2
        finally:
            outside.command("rm", "--force", "one")

    def test_groups_and_recipes_use_the_names_of_their_own_project(self, clones):
        left, right, outside = clones
        for shop in (left, right):
            shop.write("next.env", "from image:web", "copy(from=image:web) /a -> /b")
            done = outside.command("build", str(shop.folder / "next.env"))
            assert done.code == 0, done.err
        assert (left.cat("/b", "next"), right.cat("/b", "next")) == ("left\n", "right\n")
        right.write("group.yaml", "services: {one: {image: web, command: [sleep, '1000']}}")
        try:
            done = outside.command("up", str(right.folder / "group.yaml"))
            assert done.code == 0, done.err
            (instance,) = json.loads(outside.command("ps", "--format", "json").out)
            assert outside.command("exec", instance["name"], "--", "cat", "/a").out == "right\n"
            assert instance["reference"] == f"{short(outside, right.folder)}/web:branch/main"
        finally:
            outside.command("down", str(right.folder / "group.yaml"))

    def test_the_failed_build_of_another_clone_is_not_opened(self, clones):
        left, right, outside = clones
        assert left.build("run echo left > /a; exit 3").code == 1
        assert right.command("output", "--failed", "web").code == 2
        assert right.command("output", "--failed").code == 2
        assert right.build("run echo right; exit 4").code == 1
        for place, words in ((left, ()), (left, ("web",)), (outside, (f"{short(outside, left.folder)}/web",))):
            assert "== " not in place.command("output", "--failed", *words).out
            assert place.command("output", "--failed", *words).code == 0
        right.build("run true")
        assert left.command("output", "--failed").code == 0

    def test_images_are_listed_with_their_project(self, clones):
        left, right, outside = clones
        lines = left.command("images").out.splitlines()
        assert lines[0].split() == ["IMAGE", "DIGEST", "FILES", "SIZE", "MADE", "PROJECT"]
        names = {line.split()[0]: line.split()[-1] for line in lines[1:]}
        other = short(outside, right.folder)
        assert names == {
            **{f"web:{tag}": str(left.folder) for tag in ("latest", "branch/main")},
            **{f"{other}/web:{tag}": str(right.folder) for tag in ("latest", "branch/main")},
        }


class TestBranches:
    def test_web_is_what_this_branch_built_last(self, project, git):
        project.build("file /a\n    main")
        git.commit("main")
        git("checkout", "--quiet", "-b", "fix")
        fresh = project.command("run", "web", "--", "cat", "/a")
        assert (fresh.code, "'web' was not built on fix yet" in fresh.err) == (2, True)
        assert ("web@HEAD" in fresh.err, "web:branch/main" in fresh.err) == (True, True)
        assert project.cat("/a", "web@HEAD") == "main\n"
        project.build("file /a\n    fix")
        git.commit("fix")
        assert project.cat("/a") == "fix\n"
        git("checkout", "--quiet", "main")
        assert (project.cat("/a"), project.cat("/a", "web:latest")) == ("main\n", "fix\n")
        assert project.command("diff", "web", "web:latest").code == 1
        log = json.loads(project.command("log", "web", "--format", "json").out)
        assert [entry["name"] for entry in log] == ["project/web:branch/main"]
        status = json.loads(project.command("status", "--format", "json").out)
        assert [(state["tag"], state["well"]) for state in status] == [("web:branch/main", True)]
        # What somebody chose a name for is the same on all branches.
        project.command("tag", "web", "kept")
        git("checkout", "--quiet", "fix")
        assert project.cat("/a", "kept") == "main\n"

    def test_tag_rollback_and_untag_move_the_branch_and_latest(self, project, git):
        project.build("file /a\n    1")
        project.build("file /a\n    2")
        git.commit("main")
        git("checkout", "--quiet", "-b", "fix")
        project.build("file /a\n    fix")
        git("checkout", "--quiet", "--force", "main")
        assert project.command("rollback", "web").out.startswith("web:branch/main: ")
        assert [project.cat("/a", f"web{tag}") for tag in ("", ":latest", ":branch/fix")] == ["1\n", "1\n", "fix\n"]
        assert project.command("tag", "web:branch/fix", "web").code == 0
        assert [project.cat("/a", f"web{tag}") for tag in ("", ":latest", "@{1}")] == ["fix\n", "fix\n", "1\n"]
        assert project.command("untag", "web").code == 0
        assert "was not built on main" not in project.command("log", "web").err
        assert project.command("show", "web:latest").code == project.command("show", "web").code == 2
        assert project.cat("/a", "web:branch/fix") == "fix\n"

    def test_a_detached_head_has_what_a_detached_head_built(self, project, git):
        project.build("file /a\n    main")
        git.commit("main")
        git("checkout", "--quiet", "--detach")
        assert "with a detached HEAD" in project.command("run", "web", "--", "cat", "/a").err
        project.build("file /a\n    detached")
        assert project.cat("/a") == "detached\n"
        git("checkout", "--quiet", "--force", "main")
        assert project.cat("/a") == "main\n"
        assert project.cat("/a", "web:branch/HEAD") == "detached\n"
        assert project.command("gc").code == 0
        assert project.cat("/a", "web:branch/HEAD") == "detached\n"

    def test_worktrees_are_one_project_each_on_its_branch(self, project, git, tmp_path):
        project.build("file /a\n    main")
        git.commit("main")
        git("worktree", "add", "--quiet", "-b", "fix", str(tmp_path / "tree"))
        tree = Project(tmp_path / "tree", project.store)
        shutil.copy(project.folder / "busybox.tar", tree.folder)
        tree.build("file /a\n    fix")
        assert (project.cat("/a"), tree.cat("/a")) == ("main\n", "fix\n")
        assert tree.cat("/a", "web:branch/main") == "main\n"
        Git(tree)("checkout", "--quiet", "--detach", "--force")
        git("branch", "--quiet", "-D", "fix")
        shutil.rmtree(tree.folder)
        # The worktree is gone, and its repository knows that the branch is.
        assert "removed tags of branches that git no longer has: project/web:branch/fix" in project.command("gc").out


class TestNames:
    def test_an_id_is_a_name_whatever_the_directory_is_called(self):
        for path, begins in {
            "/home/ada/shop": "shop-",
            "/srv/git/shop.git": "shop-",
            "/x/a b\n--c": "a-b---c-",
            "/x/registry.example": "registry-example-",
            "/x/-_läden": "l-den-",
            "/x/ä": "project-",
            "/": "project-",
            "/x/\udcff": "project-",
            f"/x/{'a' * 250}": f"{'a' * 40}-",
        }.items():
            project = project_at(path)
            assert project.id.startswith(begins), path
            assert project.id.isascii()
            assert len(project.id) <= 57
        assert project_at("/a/shop").id != project_at("/b/shop").id

    def test_tags_and_revisions_with_slashes_name_no_project(self):
        for text in ("web:branch/main", "web@feature/x", "git:main:services/web.env", "web"):
            assert split_project(text) == ("", text)
        assert split_project("shop-1/web:branch/a") == ("shop-1", "web:branch/a")

    @pytest.mark.parametrize("text", ["../web", "/web", "a/b/web", "shop//web", ".git/web", "shop/", "shop/web:a/b"])
    def test_a_path_is_no_name(self, project, text):
        project.build("run true")
        for words in (("log", text), ("tag", "web", text), ("build", "web.env", "--tag", text)):
            assert "can't name an image" in project.command(*words).err
        assert project.command("run", text, "--", "true").code == 2

    def test_a_directory_called_as_another_projects_id_is_not_that_project(self, clones, project, tmp_path):
        left, _, outside = clones
        name = short(outside, left.folder)
        thief, git = clone(project, tmp_path / name)
        thief.build("file /a\n    thief")
        git.commit("thief")
        asked = outside.command("run", f"{name}/web", "--", "cat", "/a")
        assert (asked.code, "2 projects" in asked.err) == (2, True)
        longer = short(outside, left.folder)
        assert outside.cat("/a", f"{longer}/web") == "left\n"
        whole = project_at(str(left.folder)).id
        exact, git = clone(project, tmp_path / whole)
        exact.build("file /a\n    thief")
        assert outside.cat("/a", f"{whole}/web") == left.cat("/a") == "left\n"

    def test_a_directory_with_a_terrible_name(self, project, tmp_path):
        shop, _ = clone(project, tmp_path / "ä \x1b[31m' --all\n")
        assert shop.build("file /a\n    1").code == 0
        assert shop.cat("/a") == "1\n"
        outside = Project(tmp_path, project.store)
        done = outside.command("run", "web", "--", "true")
        assert (done.code, "\x1b" in done.err) == (2, False)
        assert "\x1b" not in outside.command("images").out
        (image,) = json.loads(outside.command("images", "--format", "json").out)
        assert outside.cat("/a", f"{image['project']['name']}/web") == "1\n"


class TestRepositories:
    """What counts as a working tree, whatever somebody else put there."""

    def test_a_file_that_points_into_another_repository_joins_nothing(self, project, git, tmp_path):
        project.build("file /a\n    1")
        git.commit("1")
        git("worktree", "add", "--quiet", "-b", "fix", str(tmp_path / "tree"))
        mark = (tmp_path / "tree/.git").read_text()
        assert WorkingTree.of(str(tmp_path / "tree")).project == str(project.folder)
        for text in (mark, f"gitdir: {project.folder}/.git\n", "gitdir: /\n", "gitdir: \0\n", "x", ""):
            thief = tmp_path / f"thief-{len(list(tmp_path.iterdir()))}"
            thief.mkdir()
            (thief / ".git").write_text(text)
            working = WorkingTree.of(str(thief))
            assert working is None or working.project == str(thief), text

    def test_odd_entries_are_survived(self, tmp_path):
        for make in (
            lambda mark: os.mkfifo(mark),
            lambda mark: mark.symlink_to("/dev/zero"),
            lambda mark: mark.symlink_to(mark),
            lambda mark: mark.mkdir(),
        ):
            folder = tmp_path / str(len(list(tmp_path.iterdir())))
            folder.mkdir()
            make(folder / ".git")
            working = WorkingTree.of(str(folder))
            assert working is None or (working.project, working.branch) == (str(folder), None)
        for head in (b"", b"\xff", b"ref: refs/heads/.invalid\n", b"ref: refs/tags/x", b"x" * 100_000):
            (tmp_path / "3/.git/HEAD").write_bytes(head)
            assert WorkingTree.of(str(tmp_path / "3")).branch is None
        (tmp_path / "3/.git/HEAD").write_bytes(b"ref: refs/heads/\xe4/../x\n")
        assert branch_tag(WorkingTree.of(str(tmp_path / "3")).branch).startswith("branch/")

    def test_a_bare_repository_names_the_project_of_its_worktrees(self, project, git, tmp_path):
        project.build("file /a\n    1")
        git.commit("1")
        git("clone", "--quiet", "--bare", ".", str(tmp_path / "shop.git"))
        git("-C", str(tmp_path / "shop.git"), "worktree", "add", "--quiet", str(tmp_path / "tree"), "main")
        assert WorkingTree.of(str(tmp_path / "tree")).project == str(tmp_path / "shop.git")

    @pytest.mark.root
    def test_what_is_another_users_is_no_project(self, project, tmp_path):
        """git refuses it, too (safe.directory): anybody may put a .git into /tmp."""
        shop, git = clone(project, tmp_path / "shop")
        shop.build("file /a\n    own")
        git.commit("own")
        os.chown(shop.folder / ".git", 1234, 1234)
        assert WorkingTree.of(str(shop.folder)) is None
        shop.build("file /a\n    other")
        images = json.loads(shop.command("images", "--format", "json").out)
        assert [image["tags"] for image in images if "web:latest" in image["tags"]] == [["web:latest"]]
        os.chown(shop.folder / ".git", 0, 0)
        assert shop.cat("/a") == "own\n"

    def test_a_clone_that_moves_is_another_project_and_its_old_names_stay(self, project, tmp_path):
        shop, git = clone(project, tmp_path / "shop")
        shop.build("file /a\n    1")
        git.commit("1")
        os.rename(shop.folder, tmp_path / "moved")
        moved = Project(tmp_path / "moved", project.store)
        assert moved.command("run", "web", "--", "true").code == 2
        assert moved.cat("/a", "shop/web") == "1\n"
        assert moved.build().ran == []
        assert moved.cat("/a") == "1\n"


class TestFormat4:
    """Stores in which all repositories shared their names."""

    def old(
        self, *moves: tuple[str, str, str, str | None, dict], immutable: tuple[str, ...] = ()
    ) -> sqlite3.Connection:
        database = sqlite3.connect(":memory:")
        database.execute("CREATE TABLE images (digest)")
        database.execute("CREATE TABLE projects (id PRIMARY KEY, path)")
        database.execute("CREATE TABLE tags (name, tag, image, moved, immutable, PRIMARY KEY (name, tag))")
        database.execute("CREATE TABLE history (number INTEGER PRIMARY KEY, name, tag, image, moved, reason, detail)")
        for number, (name, tag, reason, image, detail) in enumerate(moves, 1):
            values = (number, name, tag, image, number, reason, json.dumps(detail))
            database.execute("INSERT INTO history VALUES (?, ?, ?, ?, ?, ?, ?)", values)
            database.execute("DELETE FROM tags WHERE name = ? AND tag = ?", (name, tag))
            if image is not None:
                database.execute("INSERT INTO images VALUES (?)", (image,))
                row = (name, tag, image, number, f"{name}:{tag}" in immutable)
                database.execute("INSERT INTO tags VALUES (?, ?, ?, ?, ?)", row)
        database.execute("DELETE FROM images WHERE digest = 'gone'")
        hand_over(database)
        return database

    def names(self, database: sqlite3.Connection) -> dict[str, str]:
        rows = database.execute("SELECT name, tag, image FROM tags").fetchall()
        return {f"{self.plain(name)}:{tag}": image for name, tag, image in rows}

    def plain(self, name: str) -> str:
        identity, inner = split_project(name)
        return f"{identity[:-17]}/{inner}" if identity else inner

    def test_each_clone_gets_what_it_built_last(self):
        a, b = {"root": "/nowhere/a"}, {"root": "/nowhere/b"}
        database = self.old(
            ("web", "latest", "build", "1", a),
            ("web", "latest", "build", "2", b),
            ("web", "prod", "tag", "1", {"source": "web@{1}"}),
            ("web", "latest", "build", "3", a),
            ("web", "latest", "rollback", "1", {"entry": 1}),
            ("web", "branch/main", "build", "2", b),
            ("web", "branch/main", "untag", None, {}),
            ("web", "one", "commit", "4", {"from": "2"}),
            ("web", "two", "tag", "4", {"source": "web:one"}),
            immutable=("web:prod",),
        )
        assert self.names(database) == {
            "a/web:latest": "1",
            "b/web:latest": "2",
            "a/web:prod": "1",
            "b/web:one": "4",
            "b/web:two": "4",
        }
        moves = [self.plain(name)[0] for (name,) in database.execute("SELECT name FROM history ORDER BY number")]
        assert moves == ["a", "b", "a", "a", "a", "b", "b", "b", "b"]
        assert database.execute("SELECT tag FROM tags WHERE immutable").fetchall() == [("prod",)]
        paths = {os.fsdecode(path) for (path,) in database.execute("SELECT path FROM projects")}
        assert paths == {"/nowhere/a", "/nowhere/b"}

    def test_what_no_repository_made_stays_outside(self):
        database = self.old(
            ("web", "latest", "build", "1", {"recipe": "web.env"}),
            ("web", "v1", "tag", "1", {}),
            ("web", "latest", "build", "2", {"root": "/nowhere/a"}),
            ("web", "latest", "build", "3", {"root": "relative"}),
            ("web", "latest", "build", "4", {"root": ["x"]}),
            ("old", "latest", "build", "gone", {"root": "/nowhere/a"}),
            ("old", "latest", "build", "5", {"root": "/nowhere/b"}),
        )
        assert self.names(database) == {"web:v1": "1", "web:latest": "4", "a/web:latest": "2", "b/old:latest": "5"}

    def test_a_store_gets_it_when_it_is_opened(self, project, git, tmp_path):
        project.build("file /a\n    1")
        git.commit("1")
        git("worktree", "add", "--quiet", "-b", "fix", str(tmp_path / "tree"))
        tree = Project(tmp_path / "tree", project.store)
        shutil.copy(project.folder / "busybox.tar", tree.folder)
        tree.build("file /a\n    2")
        other = Project(tmp_path / "plain", project.store)
        other.folder.mkdir()
        shutil.copy(project.folder / "busybox.tar", other.folder)
        other.build("file /a\n    3", name="other.env")
        with sqlite3.connect(project.store / "store.db") as database:
            for table in ("tags", "history"):
                database.execute(f"UPDATE {table} SET name = substr(name, instr(name, '/') + 1)")
            database.execute("DROP TABLE projects")
            database.execute("PRAGMA user_version = 4")
        database.close()
        assert (project.cat("/a"), tree.cat("/a"), project.cat("/a", "other")) == ("1\n", "2\n", "3\n")
        (named,) = {
            image["project"]["path"]
            for image in json.loads(tree.command("images", "--format", "json").out)
            if image["project"]
        }
        assert named == str(project.folder)
        assert project.command("fsck").code == 0


class TestBisect:
    @pytest.fixture
    def commits(self, project, git):
        """16 commits of a recipe; the eleventh breaks /a, and the images of three are missing."""
        for number in range(1, 17):
            project.write("number.txt", str(number))
            text = "bad" if number >= 11 else "good"
            built = project.build("copy number.txt -> /number.txt", f"file /a\n    {text}")
            git.commit(f"commit {number}")
            if number in (3, 9, 12):
                self.lose(project, built.image)
        return project

    def lose(self, project: Project, image: str) -> None:
        with sqlite3.connect(project.store / "store.db") as database:
            for table, column in (("tags", "image"), ("history", "image"), ("images", "digest")):
                database.execute(f"DELETE FROM {table} WHERE {column} = ?", (image,))
        database.close()

    def bisect(self, git: Git, *command: str) -> subprocess.CompletedProcess[str]:
        git("bisect", "start", "HEAD", "HEAD~15")
        words = [*self.program, *command]
        return git.run("bisect", "run", *words)

    @property
    def program(self) -> tuple[str, ...]:
        import sys

        return sys.executable, "-m", "envbuild"

    def test_a_commit_without_an_image_is_skipped(self, commits, git):
        done = self.bisect(git, "run", "web@HEAD", "--", "grep", "-q", "good", "/a")
        assert done.returncode == 0, done.stdout + done.stderr
        assert "is the first bad commit" in done.stdout
        assert "commit 11" in done.stdout
        assert git("bisect", "log").count("git bisect skip") >= 1
        # Each is found by its lock alone: nothing was built or tagged.
        assert len(json.loads(commits.command("log", "web:branch/main", "--format", "json").out)) == 13

    def test_exit_codes_are_those_of_the_test_or_125(self, project, git):
        for number in (1, 2):
            built = project.build(f"file /a\n    {number}")
            git.commit(str(number))
            if number == 1:
                self.lose(project, built.image)
        for code in (0, 1, 3, 125, 126, 127):
            assert project.command("run", "web@HEAD", "--", "sh", "-c", f"exit {code}").code == code
        missing = project.command("run", "web@HEAD~1", "--", "true")
        assert (missing.code, "not in this store" in missing.err) == (125, True)
        for reference in ("git:HEAD~1:web.env", "git:HEAD:none.env", "none@HEAD", "web@none", "a:b@HEAD", "git:HEAD"):
            assert project.command("run", reference, "--", "true").code == 125, reference
        assert project.command("run", "web@HEAD", "-v", "/none-such:/x", "--", "true").code == 125
        for reference in ("none", "web@{99}", "web@sha256:0000"):
            assert project.command("run", reference, "--", "true").code == 2, reference
        (project.folder / "web.env.lock").write_text("<<<<<<< ours\n")
        git.commit("a lock that nobody can read")
        assert project.command("run", "web@HEAD", "--", "true").code == 125
