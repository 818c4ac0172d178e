"""Commits that no git made: what they hold is written by us, below one folder, or refused."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

from envbuild.git import tracked_files
from envbuild.git.checkout import checked_out
from envbuild.git.program import GitFailed, GitTooMuch, GitTooSlow, output
from envbuild.git.repository import Repository
from envbuild.git.tracked_files import BadTree, TreePath, files_of_tree


class Crafted:
    """A repository whose objects are made by hand."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self("init", "--quiet")

    def __call__(self, *words: str, given: bytes = b"") -> str:
        done = subprocess.run(
            ["git", "-c", "user.name=A", "-c", "user.email=a@example.test", *words],
            cwd=self.folder,
            input=given,
            capture_output=True,
            check=True,
        )
        return done.stdout.decode().strip()

    def blob(self, content: bytes) -> str:
        return self("hash-object", "-w", "--stdin", given=content)

    def tree(self, *entries: tuple[str, bytes, str]) -> str:
        """A tree of (mode, name, id), whatever the names are."""
        body = b"".join(mode.encode() + b" " + name + b"\0" + bytes.fromhex(oid) for mode, name, oid in entries)
        return self("hash-object", "-w", "-t", "tree", "--literally", "--stdin", given=body)

    def commit(self, tree: str) -> str:
        return self("commit-tree", tree, "-m", "crafted")


@pytest.fixture
def crafted(tmp_path: Path) -> Crafted:
    folder = tmp_path / "repository"
    folder.mkdir()
    return Crafted(folder)


def written(crafted: Crafted, commit: str) -> dict[str, str]:
    content = {}
    with checked_out(Repository(str(crafted.folder)), commit) as folder:
        for where, folders, files in os.walk(folder):
            for name in (*files, *(entry for entry in folders if os.path.islink(f"{where}/{entry}"))):
                path = f"{where}/{name}"
                shown = os.path.relpath(path, folder)
                content[shown] = os.readlink(path) if os.path.islink(path) else Path(path).read_text()
    return content


def test_files_programs_links_and_folders_are_as_they_were_committed(crafted, tmp_path):
    blob, link = crafted.blob(b"x\r\n"), crafted.blob(b"/etc/passwd")
    inner = crafted.tree(("100755", b"program", blob))
    commit = crafted.commit(crafted.tree(("100644", b"a", blob), ("40000", b"b", inner), ("120000", b"l", link)))
    with checked_out(Repository(str(crafted.folder)), commit) as folder:
        assert Path(folder, "a").read_bytes() == b"x\r\n"
        assert os.stat(f"{folder}/b/program").st_mode & 0o777 == 0o755
        assert os.stat(f"{folder}/a").st_mode & 0o777 == 0o644
        assert os.readlink(f"{folder}/l") == "/etc/passwd"


@pytest.mark.parametrize("name", [b"..", b".", b".git", b".GIT", b"a/b", b"../../out", b""])
def test_names_that_lead_elsewhere_are_refused(crafted, name):
    blob = crafted.blob(b"x")
    for tree in (
        crafted.tree(("100644", name, blob)),
        crafted.tree(("40000", name, crafted.tree(("100644", b"x", blob)))),
    ):
        commit = crafted.commit(tree)
        if name == b"a/b":
            assert set(written(crafted, commit)) <= {"a/b", "a/b/x"}
        else:
            with pytest.raises((BadTree, GitFailed)):
                written(crafted, commit)


def test_nothing_is_written_through_a_link(crafted, tmp_path):
    outside = tmp_path / "outside"
    outside.mkdir()
    blob, link = crafted.blob(b"x"), crafted.blob(os.fsencode(outside))
    inner = crafted.tree(("100644", b"file", blob))
    for entries in (
        [("120000", b"a", link), ("40000", b"a", inner)],
        [("40000", b"a", inner), ("120000", b"a", link)],
        [("100644", b"a", blob), ("40000", b"a", inner)],
        [("120000", b"a", link), ("100644", b"a", blob)],
    ):
        with pytest.raises(BadTree, match="as different kinds of file"):
            written(crafted, crafted.commit(crafted.tree(*entries)))
    assert not list(outside.iterdir())


def test_links_that_lead_nowhere_and_submodules(crafted):
    for target in (b"", b"a\0b", b"x" * 5000):
        with pytest.raises(Exception, match=r"no valid target|at most 4095"):
            written(crafted, crafted.commit(crafted.tree(("120000", b"l", crafted.blob(target)))))
    commit = crafted.commit(crafted.tree(("160000", b"module", "1" * 40)))
    with checked_out(Repository(str(crafted.folder)), commit) as folder:
        assert os.listdir(f"{folder}/module") == []


def test_a_commit_of_a_few_bytes_with_more_files_than_anybody_can_list(crafted, monkeypatch):
    tree = crafted.tree(("100644", b"x", crafted.blob(b"x")))
    for _ in range(10):
        tree = crafted.tree(*(("40000", b"%d" % number, tree) for number in range(10)))
    with pytest.raises((GitTooMuch, BadTree)):
        written(crafted, crafted.commit(tree))


def test_what_takes_too_long_is_ended(crafted):
    os.mkfifo(crafted.folder / ".git/fifo")
    with open(crafted.folder / ".git/config", "a") as file:
        file.write("[include]\n\tpath = fifo\n")
    with pytest.raises(GitTooSlow):
        output(str(crafted.folder), "rev-parse", "--show-toplevel", seconds=0.5)


def test_names_are_types():
    assert TreePath("a/b") == "a/b"
    for text in ("", "/a", "a/", "a//b", "a/../b", "a/.git/b", "a/.Git", "a\0b", "x" * 256, "a/" * 401 + "a"):
        with pytest.raises(BadTree):
            TreePath(text)
    with pytest.raises(BadTree):
        list(files_of_tree(b"nonsense\0"))
    assert tracked_files.MAX_FILES > 0


class TestFilesThatWeWrite:
    """`git install` and a first lock write into a clone: never through a link of it."""

    def test_attributes_and_hooks_that_are_links(self, project, git, tmp_path):
        target = tmp_path / "target"
        target.write_text("mine\n")
        (project.folder / ".git/info").mkdir(exist_ok=True)
        for name in ("info/attributes", "hooks/pre-commit"):
            (project.folder / ".git" / name).unlink(missing_ok=True)
            (project.folder / ".git" / name).symlink_to(target)
        done = project.command("git", "install")
        assert (done.code, "stays as it is" in done.err) == (0, True), done.err
        assert target.read_text() == "mine\n"
        assert not (project.folder / ".git/info/attributes").is_symlink()

    def test_folders_that_are_links(self, project, git, tmp_path):
        (project.folder / ".git/info").rename(tmp_path / "info")
        (project.folder / ".git/info").symlink_to(tmp_path / "info")
        before = sorted(os.listdir(tmp_path / "info"))
        assert project.command("git", "install").code == 2
        assert sorted(os.listdir(tmp_path / "info")) == before

    def test_hooks_that_settings_put_elsewhere(self, project, git, tmp_path):
        git("config", "core.hooksPath", str(tmp_path))
        done = project.command("git", "install")
        assert (done.code, str(tmp_path) in done.err or "pre-commit" in done.err) == (0, True)
        assert not list(tmp_path.glob("pre-commit"))

    @pytest.mark.namespaces
    def test_the_attributes_that_a_first_lock_writes(self, project, git, tmp_path):
        from envbuild.git.install import let_git_merge

        target = tmp_path / "target"
        target.write_text("mine\n")
        lock = project.write("web.env.lock", "")
        attributes = project.folder / ".gitattributes"
        attributes.symlink_to(target)
        assert let_git_merge(str(lock)) == ""
        assert target.read_text() == "mine\n"
        attributes.unlink()
        os.mkfifo(attributes)
        assert let_git_merge(str(lock)) == ""
        attributes.unlink()
        assert let_git_merge(str(lock)) == str(attributes)
        assert attributes.read_text() == "*.env.lock merge=union\n"
