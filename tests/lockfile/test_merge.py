"""Two branches that each add a package, merged by git itself."""

import re
import subprocess

import pytest

from tests.conftest import installs_of
from tests.history.conftest import Git
from tests.packages.conftest import Server
from tests.packages.repository import Repository

pytestmark = [
    pytest.mark.namespaces,
    pytest.mark.mirror,
    pytest.mark.slow,
    pytest.mark.usefixtures("small_mirror"),
]
READY = "from image:python"
"""A base that is there already, whatever mirror the machine has."""


@pytest.fixture
def git(debian):
    repository = Git(debian)
    repository("init", "--quiet", "--initial-branch=main")
    return repository


@pytest.fixture
def server():
    index = Server()
    yield index
    index.close()


@pytest.fixture
def apt(server, tmp_path):
    """How a statement begins that takes packages of our own."""
    own = Repository(server, tmp_path / "own")
    for name in ("own-box", "own-file", "own-patch", "own-zip"):
        own.add(name, "1.0-1")
    return f'apt(source="{own.source}")'


def test_git_merges_two_branches_that_each_add_a_package(debian, apt):
    def git(*words: str) -> str:
        own = ["-c", "user.name=t", "-c", "user.email=t@t.test", "-c", "init.defaultBranch=main"]
        done = subprocess.run(["git", *own, *words], cwd=debian.folder, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    def build(*packages: str, options: tuple[str, ...] = ()):
        return debian.build(READY, apt, *(f"    {package}" for package in packages), options=options)

    def versions() -> dict[str, str]:
        return {
            package["name"]: package["hash"] for package in installs_of(debian.folder / "web.env.lock")[0]["packages"]
        }

    git("init", "--quiet")
    assert build("own-file", "own-patch").code == 0
    assert "merge=union" in (debian.folder / ".gitattributes").read_text()
    git("add", "-A")
    git("commit", "--quiet", "-m", "base")
    base = versions()
    git("checkout", "--quiet", "-b", "left")
    assert build("own-box", "own-file", "own-patch").code == 0
    git("commit", "--quiet", "-a", "-m", "own-box")
    git("checkout", "--quiet", "main")
    assert build("own-file", "own-patch", "own-zip").code == 0
    git("commit", "--quiet", "-a", "-m", "own-zip")
    git("merge", "--quiet", "left")
    assert "<<<<" not in (debian.folder / "web.env.lock").read_text()
    # CI builds what both pinned, and a build of somebody who may write adds what came of it; no version moves.
    done = debian.build(options=("--locked",))
    assert done.code == 0, done.out + done.err
    assert git("status", "--porcelain", "--untracked-files=no") == ""
    merged = versions()
    assert debian.build().image == done.image
    assert versions() == merged
    assert base.items() <= merged.items()
    assert {"own-box", "own-zip"} <= merged.keys()
    assert debian.build(options=("--locked=exact",)).code == 0


def test_two_versions_of_one_package_are_a_conflict_that_is_told(debian, apt):
    assert debian.build(READY, f"{apt} own-zip").code == 0
    path = debian.folder / "web.env.lock"
    lines = path.read_text().splitlines()
    number = next(number for number, line in enumerate(lines) if 'name: "own-zip"' in line)
    lines.insert(
        number, re.sub("sha256:[0-9a-f]{8}", "sha256:00000000", lines[number].replace('version: "', 'version: "9'))
    )
    path.write_text("\n".join(lines) + "\n")
    done = debian.build()
    assert done.code == 2
    assert "own-zip twice" in done.out + done.err
    assert "keep one of the two lines" in done.out + done.err


@pytest.mark.parametrize("driver", [False, pytest.param(True, marks=pytest.mark.nightly)])
def test_two_branches_that_each_add_a_statement(debian, git, apt, driver):
    """The package manager of the later statement saw a tree that the merge does not have: what it answered holds."""
    middle = ("run true", f"{apt} own-file", "run true")
    assert debian.build(READY, *middle).code == 0
    git.commit("begin")
    if driver:
        assert debian.command("git", "install").code == 0
    git("checkout", "--quiet", "-b", "left")
    assert debian.build(READY, f"{apt} own-zip", *middle).code == 0
    git.commit("own-zip")
    git("checkout", "--quiet", "main")
    assert debian.build(READY, *middle, f"{apt} own-box").code == 0
    git.commit("own-box")
    git("merge", "--quiet", "left", "-m", "merged")
    done = debian.build(options=("--locked",))
    assert done.code == 0, done.out + done.err
    assert git("status", "--porcelain") == ""
    pins = installs_of(debian.folder / "web.env.lock")
    assert [install["wants"] for install in pins] == [["own-zip"], ["own-file"], ["own-box"]]
    assert debian.build().image == done.image
    assert installs_of(debian.folder / "web.env.lock") == pins
    assert debian.build(options=("--locked=exact",)).code == 0


@pytest.mark.parametrize("driver", [True, pytest.param(False, marks=pytest.mark.nightly)])
def test_packages_that_do_not_go_together_are_told_with_what_mends_it(debian, git, server, tmp_path, driver):
    own = Repository(server, tmp_path / "own")
    own.add("own-lib", "1.0-1")
    own.add("own-lib-dev", "1.0-1", "own-lib (= 1.0-1)")
    first, second = (f'apt(source="{own.source}") {name}' for name in ("own-lib", "own-lib-dev"))
    assert debian.build(READY, first, "run true").code == 0
    git.commit("begin")
    if driver:
        assert debian.command("git", "install").code == 0
    git("checkout", "--quiet", "-b", "left")
    assert debian.build(READY, first, "run true", second).code == 0
    git.commit("own-lib-dev")
    git("checkout", "--quiet", "main")
    own.add("own-lib", "2.0-1")
    own.add("own-lib-dev", "2.0-1", "own-lib (= 2.0-1)")
    assert debian.command("update", "web.env", "own-lib").code == 0
    git.commit("own-lib moved")
    merge = git.run("merge", "left", "-m", "merged")
    assert merge.returncode == 0, merge.stdout + merge.stderr
    if driver:
        said = "own-lib is 2.0-1 now, and own-lib-dev is still 1.0-1"
        assert said in merge.stderr
        assert "hint: envbuild update web.env own-lib own-lib-dev" in merge.stderr
    done = debian.build()
    assert done.code == 1
    (failed,) = done.of("step-failed")
    for text in (": own-lib 2.0-1\n", ": own-lib-dev 1.0-1\n", "hint: envbuild update web.env own-lib own-lib-dev"):
        assert text in failed["message"] + "\n", failed["message"]
    mended = debian.command("update", "web.env", "own-lib", "own-lib-dev")
    assert mended.code == 0, mended.err
    assert debian.build(options=("--locked=exact",)).code == 0
