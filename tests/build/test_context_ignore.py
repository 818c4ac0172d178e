"""What a `copy` of a folder leaves out: version control, locks, and what a file of patterns says."""

from __future__ import annotations

import subprocess

import pytest

from envbuild.build.context import Context
from envbuild.build.context_scan import Choice
from envbuild.store.store import Store
from envbuild.tree.entry import DIRECTORY
from tests.conftest import Project


def copied(project: Project, source: str = ".") -> set[str]:
    """Return the paths that a copy of `source` takes, without the base of the tests."""
    with Store.open(str(project.store)) as store:
        context = Context(str(project.folder), str(project.folder), store)
        paths: set[str] = set()
        for file in context.select(source, Choice(), 0):
            pending = [(file, "")]
            while pending:
                item, where = pending.pop()
                for child in item.children:
                    pending.append((child, f"{where}{child.entry.name.decode()}/"))
                if item.entry.kind != DIRECTORY:
                    paths.add(where.rstrip("/") or item.entry.name.decode())
    return {path for path in paths if not path.startswith(("base", "busybox"))}


class TestEverywhere:
    def test_version_control_and_locks_stay_out_of_a_copied_folder(self, project):
        for path in (".git/HEAD", ".hg/x", ".svn/x", ".jj/x", "sub/.git", "web.env.lock", "sub/db.env.lock"):
            project.write(path, "x")
        for path in ("web.env", "Cargo.lock", ".gitignore", "sub/x"):
            project.write(path, "x")
        assert copied(project) == {"web.env", "Cargo.lock", ".gitignore", "sub/x"}

    @pytest.mark.parametrize("source", [".git", ".git/HEAD", "db.env.lock", "*.env.lock"])
    def test_what_a_statement_names_is_copied(self, project, source):
        project.write(".git/HEAD", "x")
        project.write("db.env.lock", "x")
        assert len(copied(project, source)) == 1

    @pytest.mark.parametrize("source", [".*", "*", "*.lock"])
    def test_what_only_wildcards_match_is_not(self, project, source):
        for path in (".git/HEAD", "db.env.lock", "Cargo.lock", ".profile"):
            project.write(path, "x")
        assert copied(project, source) <= {"Cargo.lock", ".profile"}

    def test_a_pattern_brings_it_back(self, project):
        project.write(".git/HEAD", "x")
        project.write(".envignore", "!.git")
        assert copied(project) == {".git/HEAD", ".envignore"}

    @pytest.mark.namespaces
    def test_a_lock_of_a_copied_folder_holds_after_the_commit(self, project):
        for name in ("web", "db"):
            project.write(f"{name}.env", "from tar:busybox.tar", "copy . -> /app/")
        project.write("main.py", "print()")
        first = project.command("build", "web.env")
        assert first.code == 0, first.err
        assert project.command("build", "db.env").code == 0
        git = ["git", "-C", str(project.folder), "-c", "user.name=a", "-c", "user.email=a@b"]
        for words in (["init", "-q"], ["add", "."], ["commit", "-qm", "all"]):
            subprocess.run([*git, *words], check=True)
        for name in ("web", "db"):
            done = project.command("build", "--locked", f"{name}.env")
            assert done.code == 0, done.err
            assert f"{name}.env.lock unchanged" in done.err
        assert not {".git", "web.env.lock", "db.env.lock"} & set(project.ls("/app"))

    @pytest.mark.namespaces
    def test_the_first_build_says_so_once(self, project):
        project.write("web.env", "from tar:busybox.tar", "copy . -> /app/")
        project.write(".git/HEAD", "x")
        first, second = project.command("build", "web.env"), project.command("build", "web.env")
        assert "web.env: copy leaves out .git" in first.err
        assert "leaves out" not in second.err


class TestDockerignore:
    """Examples of the meaning that docs.docker.com/build/concepts/context gives the lines."""

    FILES = ("a.md", "README.md", "src/main.c", "src/main.o", "src/deep/x.o", "node_modules/x", "web/node_modules/x")

    @pytest.mark.parametrize(
        ("lines", "left"),
        [
            (["node_modules"], {"node_modules/x"}),
            (["**/node_modules"], {"node_modules/x", "web/node_modules/x"}),
            (["*.md"], {"a.md", "README.md"}),
            (["*.md", "!README.md"], {"a.md"}),
            (["!README.md", "*.md"], {"a.md", "README.md"}),
            (["*.o"], set()),
            (["**/*.o"], {"src/main.o", "src/deep/x.o"}),
            (["*/*.o"], {"src/main.o"}),
            (["/src/../web/"], {"web/node_modules/x"}),
            (["# a comment", "", "  a.md  ", "."], {"a.md"}),
            (["src", "!src/deep/x.o"], {"src/main.c", "src/main.o"}),
            (["src/*", "!src/deep"], {"src/main.c", "src/main.o"}),
            (["*", "!src/main.c"], {*FILES, ".dockerignore"} - {"src/main.c"}),
        ],
    )
    def test_says_what_it_says_to_docker(self, project, lines, left):
        for path in self.FILES:
            project.write(path, "x")
        project.write(".dockerignore", *lines)
        assert copied(project) == {*self.FILES, ".dockerignore"} - left

    def test_a_named_file_of_a_folder_that_is_left_out_is_copied_where_a_line_brings_it_back(self, project):
        for path in self.FILES:
            project.write(path, "x")
        project.write(".dockerignore", "*", "!src/main.c")
        assert copied(project, "src/main.c") == {"main.c"}
        assert copied(project, "src") == {"main.c"}

    def test_wildcards_take_what_is_left(self, project):
        for path in self.FILES:
            project.write(path, "x")
        project.write(".dockerignore", "*.md", "!README.md", "node_modules")
        assert copied(project, "*.md") == {"README.md"}
        assert copied(project, "*s") == set()

    def test_does_not_count_beside_an_envignore(self, project):
        project.write("a.md", "x")
        project.write(".envignore", "nothing")
        project.write(".dockerignore", "*")
        assert "a.md" in copied(project)
