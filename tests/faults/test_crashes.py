"""A build that is killed at each point where something becomes visible: the next one goes on as if nothing was."""

import subprocess
import sys

import pytest

from envbuild.store import failpoints

pytestmark = pytest.mark.namespaces

DRIVER = """
import os, signal, sys
from envbuild.store import failpoints
point, count = sys.argv[1], int(sys.argv[2])
left = [count]
def at(now):
    if now == point:
        left[0] -= 1
        if left[0] == 0:
            os.kill(os.getpid(), signal.SIGKILL)
failpoints.at = at
from envbuild.cli.main import run
sys.exit(run(['build', 'web.env']))
"""
RECIPE = (
    "from tar:busybox.tar as one",
    "run mkdir /d && echo 1 > /d/a && ln -s a /d/b",
    "from tar:busybox.tar",
    "copy(from=one) /d/ -> /d/",
    "file /etc/motd",
    "    text",
    "run rm /d/a; echo new > /d/c",
    "run echo more > /d/more",
)


@pytest.mark.parametrize("count", [1, 2, 3])
@pytest.mark.parametrize("point", failpoints.POINTS)
def test_killed_at_a_point_the_next_build_gives_the_same_digest(project, tmp_path, point, count):
    undisturbed = project.build(*RECIPE, ENVBUILD_STORE=str(tmp_path / "other"))
    (project.folder / "web.env.lock").unlink()
    killed = subprocess.run(
        [sys.executable, "-c", DRIVER, point, str(count)],
        cwd=project.folder,
        env=project.environment,
        capture_output=True,
        check=False,
    )
    assert killed.returncode in (-9, 0), killed.stderr
    if count == 1:
        assert killed.returncode == -9, f"{point} was never passed"
    again = project.build()
    assert again.code == 0, again.err
    assert again.image == undisturbed.image
    checked = project.command("fsck")
    assert checked.code == 0, checked.out
    assert list((project.store / "work").iterdir()) == []
    assert project.build().ran == []


def test_a_full_disk_is_told_and_loses_nothing(project):
    before = project.build("run echo kept > /a")
    script = (
        "import os, errno, sys\n"
        "import envbuild.store.snapshot as snapshot\n"
        "def full(path, *more): raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), path)\n"
        "snapshot.hash_of = full\n"
        "from envbuild.cli.main import run\n"
        "sys.exit(run(['build', 'web.env']))"
    )
    project.write("web.env", "from tar:busybox.tar", "run echo kept > /a", "run echo more > /b")
    done = project.python(script)
    assert done.returncode == 3
    assert "No space left on device" in done.stderr
    assert "envbuild gc" in done.stderr
    assert project.show()["digest"] == f"sha256:{before.image}"
    assert project.build().ran == ["run echo more > /b"]
