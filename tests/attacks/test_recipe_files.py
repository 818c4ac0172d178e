"""Files that a recipe names and that envbuild itself reads: none leads out of where the recipe lies, none hangs."""

from __future__ import annotations

import os

import pytest

from tests.history.conftest import Git

pytestmark = pytest.mark.namespaces

TOKEN = "machine-example-password-hunter2"


@pytest.fixture
def secret(tmp_path):
    """A file of the machine beside the recipe's folder, which is no recipe."""
    path = tmp_path / "outside" / "netrc"
    path.parent.mkdir()
    path.write_text(f"{TOKEN} x\n")
    return path


def first_commit(project) -> None:
    git = Git(project)
    git("init", "--quiet", "--initial-branch=main")
    project.write("part.env", "env A=1")
    project.write("base.env", "from tar:busybox.tar")
    project.write("a.txt", "1")
    project.build("from recipe:base.env", "include part.env", "copy a.txt -> /a")
    git.commit("one")


def all_said(done) -> str:
    return done.out + done.err


class TestIncludes:
    @pytest.mark.parametrize("how", ["absolute", "parent", "link", "folder that is a link", "link to a link"])
    def test_that_lead_out_are_refused_and_nothing_is_shown(self, project, secret, how):
        (project.folder / "link").symlink_to(secret)
        (project.folder / "again").symlink_to("link")
        (project.folder / "folder").symlink_to(secret.parent)
        named = {
            "absolute": str(secret),
            "parent": os.path.relpath(secret, project.folder),
            "link": "link",
            "folder that is a link": "folder/netrc",
            "link to a link": "again",
        }[how]
        project.write("web.env", "from tar:busybox.tar", f"include {named}")
        for words in (("build", "web.env"), ("status",), ("diff", "web.env", "web.env")):
            done = project.command(*words)
            assert TOKEN not in all_said(done)
        done = project.command("build", "web.env")
        assert (done.code, "leads out of" in done.err) == (2, True), done.err

    def test_in_a_repository_all_of_it_may_be_included_and_nothing_of_gits_own(self, project, git, secret):
        project.write("common/base.env", "env A=1")
        (project.folder / "common/same.env").symlink_to("base.env")
        project.write("services/web.env", "from scratch", "include ../common/same.env")
        assert project.command("build", "services/web.env").code == 0
        assert project.show()["facts"]["env"]["A"] == "1"
        git("config", "http.extraheader", TOKEN)
        for named in ("../.git/config", "../.git/../.git/config", f"../{os.path.relpath(secret, project.folder)}"):
            project.write("services/web.env", "from scratch", f"include {named}")
            done = project.command("build", "services/web.env")
            assert (done.code, TOKEN in all_said(done)) == (2, False), all_said(done)
        (project.folder / "settings").symlink_to(".git/config")
        project.write("services/web.env", "from scratch", "include ../settings")
        done = project.command("build", "services/web.env")
        assert (done.code, "git's own" in done.err) == (2, True), done.err

    def test_without_one_only_the_recipes_own_folder(self, project):
        project.write("common/base.env", "env A=1")
        project.write("services/web.env", "from scratch", "include ../common/base.env")
        done = project.command("build", "services/web.env")
        assert (done.code, "leads out of" in done.err) == (2, True), done.err

    @pytest.mark.parametrize("kind", ["fifo", "device", "folder", "large"])
    def test_that_are_no_plain_files_are_refused_at_once(self, project, kind):
        path = project.folder / "odd.env"
        match kind:
            case "fifo":
                os.mkfifo(path)
            case "device":
                path.symlink_to("/dev/zero")
            case "folder":
                path.mkdir()
            case _:
                with open(path, "wb") as file:
                    file.truncate(5 << 20)
        project.write("web.env", "from tar:busybox.tar", "include odd.env")
        done = project.command("build", "web.env", timeout=300)
        assert done.code == 2, done.err
        assert "error" in project.command("build", "odd.env", timeout=300).err

    def test_one_that_is_swapped_after_a_build_is_refused_too(self, project, secret):
        project.write("part.env", "env A=1")
        project.write("web.env", "from tar:busybox.tar", "include part.env")
        assert project.command("build", "web.env").code == 0
        path = project.folder / "part.env"
        secret.write_text(path.read_text())
        path.unlink()
        path.symlink_to(secret)
        done = project.command("build", "web.env")
        assert (done.code, "leads out of" in done.err) == (2, True), done.err
        path.unlink()
        os.mkfifo(path)
        assert project.command("build", "web.env", timeout=300).code == 2


class TestOtherFiles:
    @pytest.mark.user
    def test_recipes_that_a_stage_starts_from(self, project, secret):
        (project.folder / "base.env").symlink_to(secret)
        for base in (
            "from recipe:base.env",
            f"from recipe:{secret}",
            "from scratch\ncopy(from=recipe:base.env) a -> /",
        ):
            project.write("web.env", base)
            done = project.command("build", "web.env")
            assert (done.code, TOKEN in all_said(done)) == (2, False), all_said(done)
            assert "leads out of" in done.err

    def test_a_recipe_that_is_a_link_out(self, project, secret):
        (project.folder / "web.env").symlink_to(secret)
        for words in (("build", "web.env"), ("status",)):
            done = project.command(*words)
            assert (TOKEN in all_said(done), "leads out of" in all_said(done)) == (False, True)

    @pytest.mark.parametrize("kind", ["link", "fifo"])
    def test_a_lock(self, project, secret, kind):
        project.write("web.env", "from tar:busybox.tar")
        lock = project.folder / "web.env.lock"
        lock.symlink_to(secret) if kind == "link" else os.mkfifo(lock)
        for words in (("build", "web.env"), ("status",), ("diff", "web.env.lock", "web.env"), ("update", "x")):
            done = project.command(*words, timeout=300)
            assert TOKEN not in all_said(done)
            assert done.code in (0, 2)

    @pytest.mark.parametrize("kind", ["link", "fifo", "device", "large"])
    def test_a_file_of_patterns(self, project, secret, kind):
        path = project.folder / ".envignore"
        match kind:
            case "link":
                path.symlink_to(secret)
            case "fifo":
                os.mkfifo(path)
            case "device":
                path.symlink_to("/dev/zero")
            case _:
                path.write_text("x\n" * (1 << 20))
        project.write("a.txt", "1")
        done = project.build("copy a.txt -> /a")
        assert (done.code, ".envignore" in done.err) == (2, True), done.err
        assert TOKEN not in all_said(done)

    def test_one_that_links_within_the_folder_is_read(self, project):
        project.write("patterns", "b.txt")
        (project.folder / ".envignore").symlink_to("patterns")
        project.write("a/a.txt", "1")
        project.write("a/b.txt", "1")
        project.build("copy a -> /a")
        assert set(project.ls("/a")) == {"a.txt"}

    @pytest.mark.user
    def test_requirements_and_templates(self, project, secret):
        (project.folder / "link.txt").symlink_to(secret)
        os.mkfifo(project.folder / "fifo.txt")
        project.write("more.txt", f"-r {secret}")
        with open(project.folder / "large.txt", "wb") as file:
            file.truncate(65 << 20)
        for line in (
            *(f"render {name} -> /a" for name in ("link.txt", "fifo.txt", "large.txt", str(secret))),
            *(f"pip(into=/v) -r {name}" for name in ("link.txt", "fifo.txt", "large.txt", "more.txt")),
            "npm(into=/v) -r link.txt",
            "apt(source=https://deb.example.test key=link.txt) x",
        ):
            done = project.build(line, "run true")
            assert (done.code != 0, TOKEN in all_said(done)) == (True, False), (line, all_said(done))


class TestTheBot:
    """`git check` in CI reads what a pull request says, and writes a comment that everybody reads."""

    @pytest.fixture
    def plain(self, project, made_once, tmp_path):
        """A recipe with a base and a part of its own, in its first commit."""
        with made_once.again(project, first_commit, tmp_path / "made"):
            yield project

    @pytest.mark.parametrize("what", ["web.env", "part.env", ".envignore", "base.env", "web.env.lock"])
    def test_no_file_of_its_machine_gets_into_the_comment(self, plain, secret, what):
        project, git = plain, Git(plain)
        path = project.folder / what
        path.unlink(missing_ok=True)
        path.symlink_to(secret)
        project.write("a.txt", "2")
        git.commit("two")
        done = project.command("git", "check", "HEAD~1..HEAD", timeout=300)
        assert (TOKEN in all_said(done), done.code) == (False, 1), all_said(done)
        path.unlink()
        path.symlink_to("/dev/zero")
        git.commit("three")
        assert project.command("git", "check", "HEAD~2..HEAD", timeout=300).code == 1
