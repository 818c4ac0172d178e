"""A build that is killed at each point where something becomes visible: the next one goes on as if nothing was."""

import pytest

from envbuild.store import failpoints
from tests.faults import killed_at
from tests.faults.kept import digest_in

pytestmark = pytest.mark.namespaces

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


@pytest.fixture(scope="module")
def undisturbed(shared_project):
    return shared_project.build(*RECIPE)


@pytest.mark.parametrize("count", [1, pytest.param(2, marks=pytest.mark.nightly), 3])
@pytest.mark.parametrize("point", failpoints.POINTS)
def test_killed_at_a_point_the_next_build_gives_the_same_digest(project, undisturbed, point, count):
    project.write("web.env", *RECIPE)
    killed = project.call(killed_at.main, point, str(count), "build", "web.env")
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
    project.write("web.env", "from tar:busybox.tar", "run echo kept > /a", "run echo more > /b")
    done = project.call(killed_at.on_a_full_disk, "build", "web.env")
    assert done.returncode == 3
    assert "No space left on device" in done.stderr
    assert "envbuild gc" in done.stderr
    assert digest_in(project) == before.image
    assert project.build().ran == ["run echo more > /b"]
