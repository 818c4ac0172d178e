"""A repository that somebody else made names programs in its settings: none of them runs, whatever envbuild asks."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.conftest import ENVBUILD, Done, Project, call
from tests.history.conftest import Git
from tests.made_once import MadeOnce

pytestmark = pytest.mark.namespaces

HOOKS = ("post-index-change", "reference-transaction", "post-checkout", "pre-auto-gc", "fsmonitor-watchman")
SETTINGS = """
[core]
    fsmonitor = {trap}
    hooksPath = {hooks}
    sshCommand = {trap}
    pager = {trap}
    editor = {trap}
    askPass = {trap}
    alternateRefsCommand = {trap}
    gitProxy = {trap}
[filter "x"]
    clean = {trap}
    smudge = {trap}
    required = true
[filter "y"]
    process = {trap}
    required = true
[diff]
    external = {trap}
[diff "x"]
    textconv = {trap}
    command = {trap}
[merge "x"]
    driver = {trap}
[log]
    showSignature = true
[gpg]
    program = {trap}
[credential]
    helper = !{trap}
[pager]
    status = {trap}
    log = {trap}
    diff = {trap}
    blame = {trap}
    ls-files = {trap}
    config = {trap}
[remote "origin"]
    url = ext::{trap}
    promisor = true
    vcs = {trap}
    uploadpack = {trap}
    partialclonefilter = blob:none
[protocol "ext"]
    allow = always
[protocol]
    allow = always
[uploadpack]
    packObjectsHook = {trap}
[extensions]
    partialClone = origin
[include]
    path = more
"""
ATTRIBUTES = "* diff=x merge=x filter=x\n*.bin filter=y\n*.lock !merge\n"


RECIPE = ("copy src -> /app", "run echo 1 > /one")


def two_commits(project: Project) -> None:
    git = Git(project)
    git("init", "--quiet", "--initial-branch=main")
    project.write("src/data.bin", "1")
    for number in ("1", "2"):
        project.write("src/app.txt", number)
        assert project.build(*RECIPE).code == 0
        git.commit(number)


class Trap:
    """A program that leaves a trace, and a repository whose settings name it wherever one can be named."""

    def __init__(self, project: Project, git: Git, folder: Path) -> None:
        self.project, self.git = project, git
        self.traces = folder / "traces"
        self.program = folder / "trap"
        self.program.write_text(f'#!/bin/sh\necho "$0 $*" >> {self.traces}\ncat\n')
        self.program.chmod(0o755)
        self.hooks = folder / "hooks"
        self.hooks.mkdir()
        for name in HOOKS:
            shutil.copy(self.program, self.hooks / name)

    def build(self) -> Done:
        return self.project.build(*RECIPE)

    def set(self) -> None:
        """From now on the repository is the attacker's."""
        configuration = self.project.folder / ".git/config"
        text = configuration.read_text() + SETTINGS.format(trap=self.program, hooks=self.hooks)
        configuration.write_text(text.replace("repositoryformatversion = 0", "repositoryformatversion = 1"))
        (self.project.folder / ".git/more").write_text(f'[filter "x"]\n\tclean = {self.program}\n')
        (self.project.folder / ".git/info").mkdir(exist_ok=True)
        (self.project.folder / ".git/info/attributes").write_text(ATTRIBUTES)
        (self.project.folder / ".gitattributes").write_text(ATTRIBUTES)
        for path in (self.project.folder / "src").iterdir():
            path.touch()  # git would look at them again

    @property
    def sprung(self) -> str:
        return self.traces.read_text() if self.traces.exists() else ""


@pytest.fixture
def trap(
    project: Project, made_once: MadeOnce, tmp_path: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Trap]:
    with made_once.again(project, two_commits, tmp_path / "made"):
        yield Trap(project, Git(project), tmp_path_factory.mktemp("trap"))


@pytest.fixture
def git(trap: Trap) -> Git:
    return trap.git


def test_the_trap_works(trap, git):
    """Else the others would show nothing."""
    trap.set()
    git.run("status")
    assert "trap" in trap.sprung


COMMANDS = (
    ("build", "web.env"),
    ("build", "web.env", "--locked"),
    ("status",),
    ("git", "check", "HEAD~1..HEAD"),
    ("git", "check", "HEAD~1...HEAD", "--format", "json"),
    ("git", "pre-commit"),
    ("git", "show-lock", "web.env.lock"),
    ("diff", "git:HEAD~1:web.env", "git:HEAD:web.env"),
    ("diff", "web@HEAD~1", "web", "--recipe"),
    ("log", "web"),
    ("why", "web", "/app/app.txt"),
    ("rollback", "web"),
    ("show", "git:HEAD:web.env"),
    ("run", "git:HEAD:web.env", "--", "true"),
    ("update", "web.env"),
    ("verify", "web"),
    ("git", "install"),
    ("git", "install", "--remove"),
)


def test_no_command_runs_what_a_repository_names(trap):
    trap.set()
    for words in COMMANDS:
        for path in (trap.project.folder / "src").iterdir():
            path.touch()  # git would look at them again
        trap.project.command(*words)
        assert trap.sprung == "", words


def test_a_build_that_is_put_on_record_runs_nothing_either(trap):
    trap.project.write("src/app.txt", "3")
    trap.set()
    done = trap.build()
    assert done.code == 0, done.err
    (entry, *_) = json.loads(trap.project.command("log", "web", "--format", "json").out)
    assert (entry["file"], entry["dirty"]) == ("web.env", True)
    assert trap.sprung == ""


def test_the_hook_of_git_commit_reads_the_index_that_it_is_given(trap, git):
    trap.project.write("src/app.txt", "3")
    trap.set()
    index = trap.project.folder / ".git/next-index-1.lock"
    shutil.copy(trap.project.folder / ".git/index", index)
    git_environment = {**os.environ, "GIT_CONFIG_GLOBAL": "/dev/null", "GIT_INDEX_FILE": str(index)}
    oid = git("-c", "filter.x.clean=cat", "hash-object", "-w", "--no-filters", "src/app.txt").strip()
    # As git looks at the other files again, too, where the clock has ticked since they were written.
    mild = ("core.hooksPath=/dev/null", "core.fsmonitor=false", "filter.y.process=", "filter.y.required=false")
    words = ["git", *(word for setting in mild for word in ("-c", setting)), "update-index", "--cacheinfo"]
    subprocess.run([*words, f"100644,{oid},src/app.txt"], cwd=trap.project.folder, env=git_environment, check=True)
    trap.traces.unlink(missing_ok=True)
    as_it_was = trap.project.command("git", "pre-commit")
    assert (as_it_was.code, "app.txt changed" in as_it_was.err) == (0, False), as_it_was.err
    done = trap.project.command("git", "pre-commit", GIT_INDEX_FILE=".git/next-index-1.lock")
    assert (done.code, "app.txt changed" in done.err) == (0, True), done.err
    assert "git's own conversions are not run" in done.err
    elsewhere = trap.project.command("git", "pre-commit", GIT_INDEX_FILE="/tmp/index")
    assert (elsewhere.code, "does not lie in" in elsewhere.err) == (2, True), elsewhere.err
    assert trap.sprung == ""


def test_what_a_partial_clone_lacks_is_not_fetched(trap):
    trap.set()
    objects = trap.project.folder / ".git/objects"
    for folder in objects.iterdir():
        if len(folder.name) == 2:
            shutil.rmtree(folder)
    for words in (("git", "check", "HEAD~1..HEAD"), ("show", "git:HEAD:web.env"), ("build", "web.env")):
        trap.project.command(*words)
    trap.project.write("src/app.txt", "3")
    trap.build()
    assert trap.sprung == ""


class TestFoldersThatLookLikeRepositories:
    @pytest.fixture
    def bare(self, trap) -> Path:
        """A folder of the working tree that git takes for a bare repository with a working tree of its own."""
        inner = trap.project.folder / "inner"
        inner.mkdir()
        for name in ("HEAD", "objects", "refs", "index"):
            source = trap.project.folder / ".git" / name
            (shutil.copytree if source.is_dir() else shutil.copy)(source, inner / name)
        text = SETTINGS.format(trap=trap.program, hooks=trap.hooks)
        (inner / "config").write_text(f"[core]\n\trepositoryformatversion = 1\n\tbare = false\n\tworktree = .\n{text}")
        (inner / "info").mkdir()
        (inner / "info/attributes").write_text(ATTRIBUTES)
        trap.project.write("inner/web.env", "from tar:busybox.tar", "run echo 1 > /inner")
        shutil.copy(trap.project.folder / "busybox.tar", inner / "busybox.tar")
        return inner

    def test_nothing_of_theirs_runs(self, trap, bare):
        for words in (
            ("build", "web.env"),
            ("status",),
            ("git", "check", "HEAD~1..HEAD"),
            ("git", "pre-commit"),
            ("show", "git:HEAD:web.env"),
            ("log", "web"),
        ):
            trap.project.command(*words)
            done = call(ENVBUILD, words, trap.project.folder / "inner", trap.project.environment)
            assert b"Traceback" not in done.stderr, done.stderr
        assert trap.sprung == ""

    def test_another_working_tree_is_not_read(self, trap, git, tmp_path):
        git("config", "core.worktree", str(tmp_path))
        done = trap.project.command("show", "git:HEAD:web.env")
        assert (done.code, "says that its files lie in" in done.err) == (2, True), done.err


def test_variables_of_the_caller_lead_git_nowhere(trap, tmp_path):
    git = {
        "GIT_DIR": str(tmp_path),
        "GIT_WORK_TREE": str(tmp_path),
        "GIT_EXTERNAL_DIFF": str(trap.program),
        "GIT_CONFIG_COUNT": "1",
        "GIT_CONFIG_KEY_0": "core.fsmonitor",
        "GIT_CONFIG_VALUE_0": str(trap.program),
        "GIT_TRACE": "1",
    }
    trap.project.write("src/app.txt", "3")
    done = trap.project.build("copy src -> /app", "run echo 1 > /one", **git)
    assert done.code == 0, done.err
    assert trap.project.command("show", "git:HEAD:web.env", **git).code == 0
    assert trap.sprung == ""


@pytest.mark.root
def test_a_repository_of_somebody_else_is_refused_as_git_does(trap):
    """safe.directory is git's own: we never name the repository to it, as it then would not ask."""
    os.chown(trap.project.folder / ".git", 65534, 65534)
    os.chown(trap.project.folder, 65534, 65534)
    done = trap.project.command("show", "git:HEAD:web.env")
    assert (done.code, "dubious ownership" in done.err) == (2, True), done.err


def test_files_of_git_that_are_none_are_not_waited_for(trap):
    for name in ("HEAD", "config", "index", "refs/heads/main", "info/attributes"):
        file = trap.project.folder / ".git" / name
        saved = file.rename(file.with_name(f"{file.name}.saved")) if file.exists() else None
        os.mkfifo(file)
        trap.project.command("untag", "web")  # the next build is put on record, for which git is asked
        assert trap.project.command("build", "web.env").code == 0, name
        done = trap.project.command("git", "check", "HEAD~1..HEAD")
        assert (done.code, f"{file} is a FIFO" in done.err) == (2, True), done.err
        file.unlink()
        if saved is not None:
            saved.rename(file)
    assert trap.project.command("git", "check", "HEAD~1..HEAD").code == 0


class TestWhatIsOnRecord:
    """`dirty` says of the files that the build read whether they are as their commit has them."""

    def dirty(self, trap) -> bool:
        trap.project.command("untag", "web")
        done = trap.project.command("build", "web.env")
        assert done.code == 0, done.err
        (entry, *_) = json.loads(trap.project.command("log", "web", "--format", "json").out)
        return entry["dirty"]

    def test_a_build_of_what_is_committed_is_clean(self, trap):
        assert not self.dirty(trap)
        (trap.project.folder / "src/app.txt").touch()
        assert not self.dirty(trap)
        trap.project.write("unrelated.txt", "1")
        assert not self.dirty(trap)

    @pytest.mark.parametrize("change", ["edited", "added", "removed", "mode", "staged", "recipe"])
    def test_and_one_of_something_else_is_not(self, trap, git, change):
        path = trap.project.folder / "src/app.txt"
        match change:
            case "edited":
                path.write_text("3")
            case "added":
                (path.parent / "new").write_text("3")
            case "removed":
                path.unlink()
            case "mode":
                path.chmod(0o755)
            case "staged":
                path.write_text("3")
                git("add", "-A")
            case _:
                with open(trap.project.folder / "web.env", "a") as recipe:
                    recipe.write("run echo 2\n")
        assert self.dirty(trap)

    def test_filters_are_told_and_not_run(self, trap, git):
        (trap.project.folder / ".gitattributes").write_text("*.bin filter=x\n")
        git("config", "filter.x.clean", "tr 1 2")
        trap.project.write("src/data.bin", "11")
        git.commit("filtered")
        # git looked at it when it was added, and nothing touched it since.
        assert not self.dirty(trap)
        trap.project.write("src/data.bin", "11")
        trap.project.command("untag", "web")
        done = trap.project.build()
        assert "git's own conversions (filter=x) are not run" in json.dumps(done.events)
