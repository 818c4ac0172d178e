"""Two branches that each add a package, merged by git itself."""

import re
import subprocess

import pytest
import yaml

from tests.packages.conftest import DEBIAN

pytestmark = [pytest.mark.namespaces, pytest.mark.mirror, pytest.mark.slow]


def test_git_merges_two_branches_that_each_add_a_package(debian):
    def git(*words: str) -> str:
        own = ["-c", "user.name=t", "-c", "user.email=t@t.test", "-c", "init.defaultBranch=main"]
        done = subprocess.run(["git", *own, *words], cwd=debian.folder, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    def build(*packages: str, options: tuple[str, ...] = ()):
        return debian.build(DEBIAN, "apt", *(f"    {package}" for package in packages), options=options)

    def versions() -> dict[str, str]:
        lock = yaml.safe_load((debian.folder / "web.env.lock").read_text())
        return {one["name"]: one["hash"] for one in lock["stages"][0]["steps"][0]["packages"]}

    git("init", "--quiet")
    assert build("file", "patch", "rename").code == 0
    assert "merge=union" in (debian.folder / ".gitattributes").read_text()
    git("add", "-A")
    git("commit", "--quiet", "-m", "base")
    base = versions()
    git("checkout", "--quiet", "-b", "left")
    assert build("bzip2", "file", "patch", "rename").code == 0
    git("commit", "--quiet", "-a", "-m", "bzip2")
    git("checkout", "--quiet", "main")
    assert build("file", "patch", "rename", "zip").code == 0
    git("commit", "--quiet", "-a", "-m", "zip")
    git("merge", "--quiet", "left")
    assert "<<<<" not in (debian.folder / "web.env.lock").read_text()
    # What the merge can't know is refused in CI, and made by the next build; no version moves.
    refused = debian.build(options=("--locked",))
    assert refused.code == 1
    done = debian.build()
    assert done.code == 0, done.out
    assert base.items() <= versions().items()
    assert {"bzip2", "zip"} <= versions().keys()
    assert debian.build(options=("--locked",)).code == 0


def test_two_versions_of_one_package_are_a_conflict_that_is_told(debian):
    assert debian.build(DEBIAN, "apt zip").code == 0
    path = debian.folder / "web.env.lock"
    lines = path.read_text().splitlines()
    number = next(number for number, line in enumerate(lines) if 'name: "zip"' in line)
    lines.insert(
        number, re.sub("sha256:[0-9a-f]{8}", "sha256:00000000", lines[number].replace('version: "', 'version: "9'))
    )
    path.write_text("\n".join(lines) + "\n")
    done = debian.build()
    assert done.code == 2
    assert "zip twice" in done.out + done.err
    assert "keep one of the two lines" in done.out + done.err
