"""A real program's own build, killed on the way: git, from Debian's source package (recipes/git)."""

import os
import shutil
import signal
import time
from pathlib import Path

import pytest

from tests.conftest import alive_with, wait_for

pytestmark = [pytest.mark.namespaces, pytest.mark.mirror, pytest.mark.slow]
RECIPE = Path(__file__).parents[2] / "recipes/git/git.env"


def killed_when(project, condition, what: str) -> None:
    build = project.start("build", "git.env", "--jobs", "2", "--set", f"jobs={os.cpu_count() or 1}")
    assert wait_for(condition, 300), what
    time.sleep(1)
    build.send_signal(signal.SIGKILL)
    build.communicate()
    assert wait_for(lambda: not alive_with("/src/git") and not alive_with("apt-get source")), what


def test_git_is_built_though_its_build_is_killed_twice(project):
    shutil.copy(RECIPE, project.folder / "git.env")
    killed_when(project, lambda: alive_with("apt-get\0source") or alive_with("apt-get\0install"), "while it downloads")
    killed_when(project, lambda: alive_with("cc1\0-quiet"), "while it compiles")
    done = project.command("build", "git.env", "--jobs", "2", "--set", f"jobs={os.cpu_count() or 1}", timeout=900)
    assert done.code == 0, done.err
    # What had finished before the second kill was not done again.
    assert "cached [tools] run(network)" in done.err
    assert project.command("run", "git").out.startswith("git version 2.")
    assert project.command("fsck").code == 0
    assert list((project.store / "work").iterdir()) == []
    again = project.command("build", "git.env", "--jobs", "2", "--set", f"jobs={os.cpu_count() or 1}")
    assert "all 13 cached" in again.err, again.err
