"""A real program's own build, killed on the way: git, from Debian's source package (recipes/git)."""

import os
import shutil
import signal
import time
from pathlib import Path

import pytest

from tests.conftest import wait_for
from tests.processes import alive_with

pytestmark = [pytest.mark.namespaces, pytest.mark.mirror, pytest.mark.nightly]
RECIPE = Path(__file__).parents[2] / "recipes/git/git.env"


def killed_when(project, *programs: str) -> None:
    """Kills a build a second after one of these programs runs for it."""
    build = project.start("build", "git.env", "--jobs", "2", "--set", f"jobs={os.cpu_count() or 1}")

    def running() -> list[int]:
        return [pid for program in programs for pid in alive_with(program, below=build.pid)]

    assert wait_for(running, 600), programs
    time.sleep(1)
    below = alive_with("", below=build.pid)
    build.send_signal(signal.SIGKILL)
    build.communicate()
    assert wait_for(lambda: not any(os.path.exists(f"/proc/{pid}") for pid in below)), programs


def test_git_is_built_though_its_build_is_killed_twice(project):
    shutil.copy(RECIPE, project.folder / "git.env")
    killed_when(project, "apt-get\0source", "apt-get\0install")
    killed_when(project, "cc1\0-quiet")
    done = project.command("build", "git.env", "--jobs", "2", "--set", f"jobs={os.cpu_count() or 1}", timeout=900)
    assert done.code == 0, done.err
    # What had finished before the second kill was not done again.
    assert "cached [tools] run(network)" in done.err
    assert project.command("run", "git").out.startswith("git version 2.")
    assert project.command("fsck").code == 0
    assert list((project.store / "work").iterdir()) == []
    again = project.command("build", "git.env", "--jobs", "2", "--set", f"jobs={os.cpu_count() or 1}")
    assert "all 13 cached" in again.err, again.err
